"""Vendors' registries: TOML files in which a downstream states which record numbers are its own.

    owner = "Acme"
    contact = "xen@acme.example"
    citation = "https://acme.example/xen-records"

    [[numbers]]
    first = 0x4100
    last = 0x4103
    since = "2021-03"
    used = [{ number = 0x4100, name = "METER", size = 16, kind = "vcpu", since = "2021-03" }]

Only `owner` and `first` must be there. `used` is "all", numbers, or tables of which only `number`
must be there. docs/registry.md tells what each key means.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from xensave.catalogue.model import PER_DOMAIN, PER_VCPU
from xensave.catalogue.toml_table import Table
from xensave.errors import Malformed, SourceError, UsageError

SHIPPED = os.path.join(os.path.dirname(__file__), "registries")  # noqa: PTH118, PTH120
_LARGEST_FILE = 1 << 20
_MOST_FAULTS = 20

_FILE_KEYS = ("owner", "contact", "citation", "numbers")
_RANGE_KEYS = ("first", "last", "since", "citation", "used")
_USED_KEYS = ("number", "name", "size", "kind", "since", "citation")


class UsedNumber(NamedTuple):
    """A number that the owner has deployed, and what it says of the record."""

    number: int
    name: str | None = None
    size: int | None = None
    kind: str | None = None
    since: str | None = None
    citation: str | None = None


class RegisteredRange(NamedTuple):
    """A range of numbers, both ends included, and those of them that are deployed."""

    first: int
    last: int
    used: tuple[UsedNumber, ...] = ()
    since: str | None = None
    citation: str | None = None


class Registry(NamedTuple):
    """The numbers of one owner, and the file (or shipped name) that states them."""

    owner: str
    source: str
    ranges: tuple[RegisteredRange, ...]
    contact: str | None = None
    citation: str | None = None

    def used(self) -> Iterator[UsedNumber]:
        """Every deployed number, in order of the ranges."""
        for held in self.ranges:
            yield from held.used


def read_registry(path: str | os.PathLike[str]) -> Registry:
    """Read a registry file.

    Raises SourceError where it cannot be read, Malformed for what it may not say: with the file,
    the key, and every overlap of its ranges or numbers.
    """
    label = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise SourceError(f"{label}: {error.strerror or error}") from error
    if len(data) > _LARGEST_FILE:
        raise Malformed(f"larger than a registry may be ({_LARGEST_FILE} bytes)", record=label)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8 text", offset=error.start, record=label) from error
    return parse_registry(text, label)


def parse_registry(text: str, source: str) -> Registry:
    r"""Read a registry from its text; `source` is what errors call it.

    >>> acme = parse_registry('owner = "Acme"\nnumbers = [{first = 0x4100, used = "all"}]', "a")
    >>> [number.number for number in acme.used()]
    [16640]
    """
    import tomllib

    try:
        data: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(str(error), record=source) from error
    except RecursionError as error:
        raise Malformed("nested too deeply", record=source) from error
    table = Table(data, source, "")
    table.allow(_FILE_KEYS)
    owner = table.text("owner", required=True) or ""
    tables = list(table.tables("numbers"))
    ranges = [_range(item) for item in tables]
    # Only disjoint ranges are spread into numbers, so that a small file cannot mean many.
    _refuse(_overlaps(ranges), source)
    ranges = [
        held._replace(used=tuple(_used(item, held)))
        for item, held in zip(tables, ranges, strict=True)
    ]
    registry = Registry(owner, source, tuple(ranges), table.text("contact"), table.text("citation"))
    _refuse(_repeats(registry), source)
    return registry


def shipped_names() -> list[str]:
    """The names of the registries that come with xensave.

    >>> shipped_names()
    ['amazon']
    """
    with os.scandir(SHIPPED) as entries:
        return sorted(e.name.removesuffix(".toml") for e in entries if e.name.endswith(".toml"))


def shipped_registry(name: str) -> Registry:
    """A registry that comes with xensave, by its name in any case. Raises UsageError if none is."""
    if name.lower() not in shipped_names():
        raise UsageError(f"no registry {name!r}; there are {', '.join(shipped_names())}")
    path = os.path.join(SHIPPED, f"{name.lower()}.toml")  # noqa: PTH118 - pathlib is slow
    return read_registry(path)._replace(source=f"registry {name.lower()}")


def _range(table: Table) -> RegisteredRange:
    table.allow(_RANGE_KEYS)
    first = table.number("first")
    last = table.number("last", first)
    if last < first:
        raise table.error("last", f"{last} is below first, {first}")
    return RegisteredRange(first, last, (), table.text("since"), table.text("citation"))


def _used(table: Table, held: RegisteredRange) -> Iterator[UsedNumber]:
    said = table.data.get("used", [])
    if said == "all":
        for number in range(held.first, held.last + 1):
            yield UsedNumber(number, since=held.since, citation=held.citation)
        return
    if not isinstance(said, list):
        raise table.error("used", 'must be "all", or an array of numbers or tables')
    for at, item in enumerate(said):
        entry = {"number": item} if not isinstance(item, dict) else item
        yield _used_number(Table(entry, table.source, f"{table.path}.used[{at}]"), held)


def _used_number(table: Table, held: RegisteredRange) -> UsedNumber:
    table.allow(_USED_KEYS)
    number = table.number("number")
    if not held.first <= number <= held.last:
        raise table.error("number", f"{number} is outside the range {held.first} - {held.last}")
    kind = table.text("kind")
    if kind not in (None, PER_DOMAIN, PER_VCPU):
        raise table.error("kind", f'must be "{PER_DOMAIN}" or "{PER_VCPU}"')
    size = table.number("size", most=0xFFFFFFFF) if "size" in table.data else None
    since = table.text("since") or held.since
    citation = table.text("citation") or held.citation
    return UsedNumber(number, table.text("name"), size, kind, since, citation)


def _refuse(faults: Iterator[str], source: str) -> None:
    found = list(islice(faults, _MOST_FAULTS + 1))
    if len(found) > _MOST_FAULTS:
        found[-1] = "and more"
    if found:
        raise Malformed("; ".join(found), record=source)


def _overlaps(ranges: list[RegisteredRange]) -> Iterator[str]:
    ordered = sorted(ranges, key=lambda held: (held.first, held.last))
    for at, held in enumerate(ordered):
        after = at + 1
        while after < len(ordered) and ordered[after].first <= held.last:
            yield f"{_span(held)} overlaps {_span(ordered[after])}"
            after += 1


def _repeats(registry: Registry) -> Iterator[str]:
    numbers: set[int] = set()
    names: dict[str, int] = {}
    for used in registry.used():
        if used.number in numbers:
            yield f"number {used.number} is used twice"
        numbers.add(used.number)
        if used.name is not None and names.setdefault(used.name, used.number) != used.number:
            yield f"{used.name} is both {names[used.name]} and {used.number}"


def _span(held: RegisteredRange) -> str:
    return f"{held.first}" if held.first == held.last else f"{held.first} - {held.last}"
