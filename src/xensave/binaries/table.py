"""The handler table of a hypervisor: its shape, and what was stored into each entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from xensave.errors import Malformed

if TYPE_CHECKING:
    from xensave.binaries.elf import Binary, Symbol
    from xensave.binaries.trace import MemoryStore
    from xensave.binaries.values import Value


class EntryShape(NamedTuple):
    """A handler-table entry: its bytes, and (offset, bytes) of each field by name."""

    size: int
    fields: dict[str, tuple[int, int]]


# The check handler came between save and load with c3c6e9b8e8 ("x86/HVM: adjust save/restore
# hook registration for optional check handler"), in 4.19.
SHAPES = (
    EntryShape(
        40, {"save": (0, 8), "load": (8, 8), "name": (16, 8), "size": (24, 8), "kind": (32, 4)}
    ),
    EntryShape(
        48,
        {
            "save": (0, 8),
            "check": (8, 8),
            "load": (16, 8),
            "name": (24, 8),
            "size": (32, 8),
            "kind": (40, 4),
        },
    ),
)

Entry = dict[str, "Value | None"]


def entries(
    binary: Binary, table: Symbol, stores: Iterable[MemoryStore]
) -> tuple[EntryShape, dict[int, Entry]]:
    """Returns the entries by typecode: values by field name, None for one stored in different ways.

    Raises Malformed where nothing stores into the table, or no known shape fits what does.
    """
    stores = [s for s in stores if table.address <= s.address < table.address + table.size]
    if not stores:
        raise Malformed(f"no function of it registers a save record in {table.name}")
    fitting = [shape for shape in SHAPES if _fits(binary, table, shape, stores)]
    if not fitting:
        raise Malformed(
            f"{table.name} is {table.size} bytes, and what is stored there fits no known entry "
            f"(of {' or '.join(str(shape.size) for shape in SHAPES)} bytes)"
        )
    shape = fitting[0]
    by_entry: dict[int, dict[str, set[Value]]] = defaultdict(lambda: defaultdict(set))
    names = {place: name for name, place in shape.fields.items()}
    for store in stores:
        code, offset = divmod(store.address - table.address, shape.size)
        by_entry[code][names[offset, store.size]].add(store.value)
    return shape, {code: _settled(fields) for code, fields in sorted(by_entry.items())}


def _settled(fields: dict[str, set[Value]]) -> Entry:
    return {name: values.pop() if len(values) == 1 else None for name, values in fields.items()}


def _fits(binary: Binary, table: Symbol, shape: EntryShape, stores: list[MemoryStore]) -> bool:
    if table.size % shape.size:
        return False
    places = set(shape.fields.values())
    for store in stores:
        offset = (store.address - table.address) % shape.size
        if (offset, store.size) not in places:
            return False
        if offset == shape.fields["name"][0] and store.value.known:
            name = binary.string(store.value.const)
            if not (name and name.isprintable()):
                return False
    return True
