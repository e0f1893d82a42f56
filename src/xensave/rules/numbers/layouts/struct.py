"""Rules on a record's struct as it stands: the same bytes for every compiler and ABI."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.model import Layout
from xensave.headers.model import DEFINE, HeaderRecord
from xensave.headers.save import HYPERVISOR, TOOLS
from xensave.rules.numbers.layouts.compare import compare
from xensave.rules.numbers.layouts.leaves import AbiField, abi_fields
from xensave.rules.numbers.model import Change, Hit


def struct_size_not_multiple_of_eight(change: Change) -> Iterator[Hit]:
    """A record's struct is not a multiple of eight bytes long."""
    for record, layout in _laid_out(change):
        if layout.size % 8:
            text = f"{layout.struct} of {record.name} is {layout.size} bytes, not a multiple of 8"
            remedy = f"Pad it to {layout.size + -layout.size % 8} bytes with a named field."
            yield change.on_field(record, "", text, f"{layout.size}")._replace(remedy=remedy)


def struct_differs_between_abis(change: Change) -> Iterator[Hit]:
    """32-bit and 64-bit x86 compilers lay a record's struct out differently."""
    for record, layout in _laid_out(change):
        small = record.x86_32
        if small is None:
            if record.form != DEFINE and not record.only:
                text = f"{record.name} is declared on x86-64 and not on 32-bit x86"
                yield change.on_field(record, "", text, "absent")
            continue
        narrow, other = _settled(small), _settled(layout)
        there = {leaf.path: leaf for leaf in other}
        moved = [
            leaf for leaf in narrow if leaf.path not in there or _moved(leaf, there[leaf.path])
        ]
        known = {leaf.path for leaf in narrow}
        moved += [leaf for leaf in other if leaf.path not in known]
        first = moved[0] if moved else None
        if layout.size == small.size and first is None:
            continue
        where = f", and {first.path} is the first field to differ" if first else ""
        text = (
            f"{layout.struct} of {record.name} is {layout.size} bytes on x86-64 and "
            f"{small.size} on 32-bit x86{where}"
        )
        path = first.path if first else other[-1].path if other else ""
        place = change.after.place_of(record, path)
        yield Hit(place, record.name, text, f"{layout.size} {small.size}")


def struct_differs_between_xen_and_tools(change: Change) -> Iterator[Hit]:
    """The hypervisor, its tools and everyone else do not see the same struct."""
    for record, layout in _laid_out(change):
        choices = " and ".join(change.after.headers.choices)
        if record.only in (HYPERVISOR, TOOLS):
            text = f"{record.name} is declared for {record.only} alone"
            yield change.on_field(record, "", text, record.only)
        for other, whose in (
            (record.xen, "the hypervisor"),
            (record.tools, "its tools"),
            (record.chosen, f"who defines {choices}"),
        ):
            if other is None:
                continue
            difference = compare(layout, other)
            names = [leaf.path for leaf in (*difference.fresh, *difference.gone)]
            names += [new.path for shift in difference.shifts for _, new in shift.moved]
            what = f" ({', '.join(names[:4])})" if names else ""
            text = (
                f"{layout.struct} of {record.name} is {other.size} bytes for {whose} and "
                f"{layout.size} for who reads the public header{what}"
            )
            place = change.after.place_of(record, names[0] if names else "")
            yield Hit(place, record.name, text, f"{whose} {other.size} {layout.size}")


def field_width_not_fixed(change: Change) -> Iterator[Hit]:
    """A field's type has no width of its own: it is the compiler's or the ABI's to choose."""
    for record, layout in _laid_out(change):
        for leaf in abi_fields(layout):
            if not leaf.fixed and not leaf.sheltered:
                text = f"{leaf.path} of {record.name} is of type {leaf.type}, which is no standard "
                yield change.on_field(record, leaf.path, f"{text}type of fixed width", leaf.type)


def field_not_aligned(change: Change) -> Iterator[Hit]:
    """A field does not lie at a multiple of its own size."""
    for record, layout in _laid_out(change):
        for leaf in abi_fields(layout):
            size = leaf.width
            if leaf.bits is None and size in (2, 4, 8) and leaf.offset % size:
                text = f"{leaf.path} of {record.name} lies at offset {leaf.offset}, not a multiple "
                text += f"of its {size} bytes"
                yield change.on_field(record, leaf.path, text, f"{leaf.offset}")


def _laid_out(change: Change) -> Iterator[tuple[HeaderRecord, Layout]]:
    for record in change.after.headers.records:
        if record.layout is not None:
            yield record, record.layout


def _settled(layout: Layout) -> list[AbiField]:
    return [leaf for leaf in abi_fields(layout) if not leaf.sheltered]


def _moved(old: AbiField, other: AbiField) -> bool:
    return (old.offset, old.size, old.bits) != (other.offset, other.size, other.bits)
