"""Who uses which numbers: vendors' registries (docs/registry.md), and what the caller states."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from xensave.catalogue.registry import Registry, read_registry, shipped_names, shipped_registry
from xensave.errors import UsageError
from xensave.rules.numbers.model import WIRE_MAX, Claim, Owned

_RANGE = re.compile(
    r"\s*(0x[0-9a-f]{1,8}|\d{1,9})\s*(?:(?:-|\.\.)\s*(0x[0-9a-f]{1,8}|\d{1,9})\s*)?", re.IGNORECASE
)


def claims(registries: Iterable[str], used: Iterable[str]) -> tuple[Claim, ...]:
    """What the shipped registries, the registry files and the `used` ranges say, in that order."""
    shipped = (shipped_registry(name)._replace(source=f"{name}.toml") for name in shipped_names())
    known = [claim for registry in shipped for claim in _registered(registry)]
    known += [claim for path in registries for claim in _registered(read_registry(path))]
    return (*known, *(stated(text) for text in used))


def stated(text: str) -> Claim:
    """Numbers in use that the caller states, without a name.

    >>> stated("22-24").first, stated("22-24").last, sorted(stated("22-24").used or ())
    (22, 24, [22, 23, 24])
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"not a number or a range of numbers: {text!r}; write 22-34")
    first = int(match[1], 0)
    last = int(match[2], 0) if match[2] else first
    _check(first, last, repr(text))
    return Claim(first, last, "", "--used", _all(first, last))


def _registered(registry: Registry) -> Iterator[Claim]:
    for held in registry.ranges:
        used = {each.number: Owned(each.name, each.size) for each in held.used}
        yield Claim(held.first, held.last, registry.owner, registry.source, used or None)


def _all(first: int, last: int) -> Mapping[int, Owned]:
    return dict.fromkeys(range(first, last + 1), Owned(None, None))


def _check(first: int, last: int, where: str) -> None:
    if not 0 <= first <= last <= WIRE_MAX:
        raise UsageError(f"{where}: no range of numbers within 0 - {WIRE_MAX}")
