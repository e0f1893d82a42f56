"""Vendors' registries: TOML files in which a downstream states which record numbers are its own.

    owner = "Acme"
    contact = "xen@acme.example"
    citation = "https://acme.example/xen-records"

    [[numbers]]
    first = 0x4100
    last = 0x4103
    since = "2021-03"
    used = [{ number = 0x4100, name = "METER", size = 16, kind = "vcpu", since = "2021-03" }]

Only `owner` and `first` must be there. `space` is another number space than the save records'
("hvm-param"; catalogue.space_names() lists them). `used` is "all", numbers, or tables of which only
`number` must be there. docs/reference/numbers/registry.md tells what each key means.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from xensave.catalogue.files import index
from xensave.catalogue.model import PER_DOMAIN, PER_VCPU, RecordKind
from xensave.catalogue.owned import SAVE_RECORD, TYPECODE_MAX, OwnedRange, UsedNumber
from xensave.catalogue.toml_table import TomlTable, parse
from xensave.errors import Malformed, SourceError, UsageError

SHIPPED = os.path.join(os.path.dirname(__file__), "registries")  # noqa: PTH118, PTH120
_LARGEST_FILE = 1 << 20
_MOST_FAULTS = 20
# The other spaces' numbers are 32 bits wide, or less.
_WORD_MAX = 0xFFFFFFFF

_FILE_KEYS = ("owner", "contact", "citation", "numbers")
_RANGE_KEYS = ("space", "first", "last", "since", "citation", "used")
_KINDS: tuple[RecordKind, ...] = (PER_DOMAIN, PER_VCPU)
_USED_KEYS = ("number", "name", "size", "kind", "since", "citation")


class Registry(NamedTuple):
    """The numbers of one owner, and the file (or shipped name) that states them."""

    owner: str
    source: str
    ranges: tuple[OwnedRange, ...]
    contact: str | None = None
    citation: str | None = None

    def ranges_of(self, space: str = SAVE_RECORD) -> list[OwnedRange]:
        """Returns the ranges of one number space."""
        return [owned for owned in self.ranges if owned.space == space]

    def used(self, space: str = SAVE_RECORD) -> Iterator[UsedNumber]:
        """Yields every deployed number of one number space, in order of the ranges."""
        for owned in self.ranges_of(space):
            yield from owned.used

    def renamed(self, source: str) -> Registry:
        """Returns the registry as errors and objections shall call it."""
        ranges = tuple(owned._replace(source=source) for owned in self.ranges)
        return self._replace(source=source, ranges=ranges)


def read_registry(path: str | os.PathLike[str]) -> Registry:
    """Reads a registry file.

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
    r"""Reads a registry from its text; `source` is what errors call it.

    Raises Malformed for what is no registry.

    >>> acme = parse_registry('owner = "Acme"\nnumbers = [{first = 0x4100, used = "all"}]', "a")
    >>> [number.number for number in acme.used()]
    [16640]
    """
    try:
        data = parse(text)
    except Malformed as error:
        raise Malformed(error.message, record=source) from error
    table = TomlTable(data, source)
    table.allow(_FILE_KEYS)
    owner = table.text("owner", required=True) or ""
    tables = list(table.tables("numbers"))
    ranges = [_range(item, owner) for item in tables]
    # Only disjoint ranges are spread into numbers, so that a small file cannot mean many.
    _refuse(_overlaps(ranges), source)
    ranges = [
        owned._replace(used=tuple(sorted(_used(item, owned), key=lambda used: used.number)))
        for item, owned in zip(tables, ranges, strict=True)
    ]
    registry = Registry(owner, source, tuple(ranges), table.text("contact"), table.text("citation"))
    _refuse(_repeats(registry), source)
    return registry


def shipped_names() -> list[str]:
    """Returns the names of the registries that come with xensave.

    >>> shipped_names()
    ['amazon', 'citrix']
    """
    with os.scandir(SHIPPED) as entries:
        return sorted(e.name.removesuffix(".toml") for e in entries if e.name.endswith(".toml"))


def shipped_registry(name: str) -> Registry:
    """Returns a registry that comes with xensave, by its name in any case.

    Raises UsageError if none is.
    """
    if name.lower() not in shipped_names():
        raise UsageError(f"no registry {name!r}; there are {', '.join(shipped_names())}")
    path = os.path.join(SHIPPED, f"{name.lower()}.toml")  # noqa: PTH118 - pathlib is slow
    return read_registry(path).renamed(f"registry {name.lower()}")


def shipped_registries() -> list[Registry]:
    """Returns every registry that comes with xensave."""
    return [shipped_registry(name) for name in shipped_names()]


def _range(table: TomlTable, owner: str) -> OwnedRange:
    table.allow(_RANGE_KEYS)
    space = _space(table)
    most = TYPECODE_MAX if space == SAVE_RECORD else _WORD_MAX
    first = table.number("first", most=most)
    last = table.number("last", first, most=most)
    if last < first:
        raise table.error("last", f"{last} is below first, {first}")
    return OwnedRange(
        first,
        last,
        owner,
        source=table.source,
        citation=table.text("citation"),
        since=table.text("since"),
        space=space,
    )


def _space(table: TomlTable) -> str:
    space = table.text("space") or SAVE_RECORD
    known = [SAVE_RECORD, *index()["spaces"]]
    if space not in known:
        raise table.error("space", f"no number space {space!r}; there are {', '.join(known)}")
    return space


def _used(table: TomlTable, owned: OwnedRange) -> Iterator[UsedNumber]:
    numbers = table.data.get("used", [])
    if numbers == "all":
        if owned.last - owned.first > TYPECODE_MAX:
            raise table.error("used", f'"all" of more than {TYPECODE_MAX + 1} numbers')
        for number in range(owned.first, owned.last + 1):
            yield UsedNumber(number, since=owned.since, citation=_cited(owned))
        return
    if not isinstance(numbers, list):
        raise table.error("used", 'must be "all", or an array of numbers or tables')
    for at, item in enumerate(numbers):
        entry = {"number": item} if not isinstance(item, dict) else item
        yield _used_number(table.inside(f"used[{at}]", entry), owned)


def _cited(owned: OwnedRange) -> str | None:
    return owned.citation if isinstance(owned.citation, str) else None


def _used_number(table: TomlTable, owned: OwnedRange) -> UsedNumber:
    table.allow(_USED_KEYS)
    number = table.number("number", most=_WORD_MAX)
    if number not in owned:
        raise table.error("number", f"{number} is outside the range {owned}")
    kind = table.choice("kind", _KINDS) if "kind" in table.data else None
    size = table.number("size", most=0xFFFFFFFF) if "size" in table.data else None
    since = table.text("since") or owned.since
    citation = table.text("citation") or _cited(owned)
    return UsedNumber(number, table.text("name"), size, kind, since, citation)


def _refuse(faults: Iterator[str], source: str) -> None:
    messages = list(islice(faults, _MOST_FAULTS + 1))
    if len(messages) > _MOST_FAULTS:
        messages[-1] = "and more"
    if messages:
        raise Malformed("; ".join(messages), record=source)


def _overlaps(ranges: list[OwnedRange]) -> Iterator[str]:
    ordered = sorted(ranges, key=lambda owned: (owned.space, owned.first, owned.last))
    for at, owned in enumerate(ordered):
        for other in ordered[at + 1 :]:
            if other.space != owned.space or other.first > owned.last:
                break
            yield f"{owned} overlaps {other}"


def _repeats(registry: Registry) -> Iterator[str]:
    for space in dict.fromkeys(owned.space for owned in registry.ranges):
        numbers: set[int] = set()
        names: dict[str, int] = {}
        for used in registry.used(space):
            if used.number in numbers:
                yield f"number {used.number} is used twice"
            numbers.add(used.number)
            if used.name is not None and names.setdefault(used.name, used.number) != used.number:
                yield f"{used.name} is both {names[used.name]} and {used.number}"
