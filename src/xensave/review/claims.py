"""Who uses which numbers: vendors' registries, and what the caller states.

A registry is a TOML file of one owner:

    owner = "Acme"

    [[numbers]]
    first = 0x4100                  # "last" where there are several
    last = 0x4103
    used = "all"                    # or the records that are deployed:
    # used = [{number = 0x4100, name = "METER", size = 16}]
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from xensave.errors import SourceError, UsageError
from xensave.rules.numbers.model import WIRE_MAX, Claim, Owned

SHIPPED = ("amazon.toml",)
_RANGE = re.compile(
    r"\s*(0x[0-9a-f]{1,8}|\d{1,9})\s*(?:(?:-|\.\.)\s*(0x[0-9a-f]{1,8}|\d{1,9})\s*)?", re.IGNORECASE
)


def claims(registries: Iterable[str], used: Iterable[str]) -> tuple[Claim, ...]:
    """What the shipped registries, the registry files and the `used` ranges say, in that order."""
    shipped = files("xensave.review").joinpath("data")
    known = [
        claim
        for name in SHIPPED
        for claim in _registered(shipped.joinpath(name).read_text(encoding="utf-8"), name)
    ]
    known += [claim for path in registries for claim in read_registry(path)]
    return (*known, *(stated(text) for text in used))


def read_registry(path: str | os.PathLike[str]) -> list[Claim]:
    """The numbers in a registry file. Raises UsageError for one that does not say what it must."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text") from error
    return list(_registered(text, str(path)))


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


def _registered(text: str, source: str) -> Iterator[Claim]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: {error}") from error
    owner, ranges = data.get("owner"), data.get("numbers")
    if not isinstance(owner, str) or not owner.strip():
        raise UsageError(f"{source}: a registry names its owner")
    if not isinstance(ranges, list) or not all(isinstance(item, dict) for item in ranges):
        raise UsageError(f"{source}: numbers is not an array of tables")
    for number, item in enumerate(ranges, 1):
        where = f"{source}: numbers {number}"
        first = item.get("first")
        last = item.get("last", first)
        if not isinstance(first, int) or not isinstance(last, int):
            raise UsageError(f"{where}: first and last are numbers")
        _check(first, last, where)
        yield Claim(first, last, owner, source, _used(item.get("used"), first, last, where))


def _used(value: object, first: int, last: int, where: str) -> Mapping[int, Owned] | None:
    if value is None:
        return None
    if value == "all":
        return _all(first, last)
    used: dict[int, Owned] = {}
    for item in value if isinstance(value, list) else [value]:
        number = item.get("number") if isinstance(item, dict) else item
        if not isinstance(number, int) or not first <= number <= last:
            raise UsageError(f'{where}: used is "all", or records numbered {first} - {last}')
        name = item.get("name") if isinstance(item, dict) else None
        size = item.get("size") if isinstance(item, dict) else None
        used[number] = Owned(
            name if isinstance(name, str) else None, size if isinstance(size, int) else None
        )
    return used


def _all(first: int, last: int) -> Mapping[int, Owned]:
    return dict.fromkeys(range(first, last + 1), Owned(None, None))


def _check(first: int, last: int, where: str) -> None:
    if not 0 <= first <= last <= WIRE_MAX:
        raise UsageError(f"{where}: no range of numbers within 0 - {WIRE_MAX}")
