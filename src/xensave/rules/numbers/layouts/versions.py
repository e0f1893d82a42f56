"""Rules on a record's layout over time: what was saved with the old one must still load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xensave.catalogue import layout
from xensave.catalogue.model import ZEROEXTEND, Layout
from xensave.findings import Severity
from xensave.headers.model import HeaderRecord
from xensave.rules.numbers.layouts.compare import LayoutComparison, compare
from xensave.rules.numbers.layouts.leaves import AbiField, abi_fields, is_filler
from xensave.rules.numbers.model import Change, Hit, lost_sizes


class _Pair(NamedTuple):
    """A record whose layout a change changes: before, after, and what excuses it."""

    change: Change
    before: HeaderRecord
    record: HeaderRecord
    old: Layout
    new: Layout
    fields: LayoutComparison
    excuse: str
    severity: Severity | None

    def hit(self, path: str, message: str, key: str = "") -> Hit:
        """Returns what a rule says of a field, or with "" for the path of the record."""
        text = f"{message}{self.excuse}"
        return self.change.on_field(self.record, path, text, key, self.severity)


def record_size_changed(change: Change) -> Iterator[Hit]:
    """A record changes its size and the old size is not accepted any more."""
    for pair in _changed(change):
        if pair.old.size == pair.new.size or _loads_shorter(change, pair):
            continue
        lost = lost_sizes(change, pair.before, pair.record)
        guests = f": guests of {lost} are lost" if lost else ""
        text = (
            f"{pair.record.name} changes from {pair.old.size} to {pair.new.size} bytes, "
            f"and no compat form or zero-extended load takes the old size{guests}"
        )
        yield pair.hit("", text, f"{pair.old.size} {pair.new.size}")


def field_changed(change: Change) -> Iterator[Hit]:
    """A field keeps its name and changes its width, its type's sign or its number of elements."""
    for pair in _changed(change):
        arrays: set[str] = set()
        for was, leaf in pair.fields.same:
            if is_filler(leaf) or 0 in (was.items, leaf.items) or was.shape == leaf.shape:
                continue
            # An array at the end that grows is growth of the record, and judged as that.
            if was.element == leaf.element and _ends(was, pair.old) and _grows(was, leaf):
                continue
            path, old, new = leaf.path, str(was), str(leaf)
            if (was.element, was.items) == (leaf.element, leaf.items):
                if not (was.array and leaf.array):
                    continue  # one element where there were any number: the size says so
                # All members of an array of structs change with it: it is told once.
                path = leaf.array
                old, new = map(_elements, (was, leaf))
            if path in arrays:
                continue
            arrays.add(path)
            yield pair.hit(path, f"{path} of {pair.record.name} was {old} and becomes {new}")


def field_inserted(change: Change) -> Iterator[Hit]:
    """New fields push fields that were saved before to another offset."""
    for pair in _changed(change):
        for shift in pair.fields.shifts:
            if run := shift.inserted:
                names = run[0].path if len(run) == 1 else f"{run[0].path} to {run[-1].path}"
                are = "is" if len(run) == 1 else "are"
                text = f"{names} of {pair.record.name} {are} inserted: {shift}"
                yield pair.hit(run[0].path, text)


def field_moved(change: Change) -> Iterator[Hit]:
    """A field that was saved keeps its name and lies elsewhere: old guests' bytes are another's."""
    for pair in _changed(change):
        for shift in pair.fields.shifts:
            if not shift.inserted:
                text = f"in {pair.record.name} {shift}: what old guests saved is read as another"
                yield pair.hit(shift.moved[0][1].path, f"{text} field")


def field_deleted(change: Change) -> Iterator[Hit]:
    """A field that was saved is gone and nothing stands at its place."""
    for pair in _changed(change):
        new = abi_fields(pair.new)
        spots = {leaf.place for leaf in new}
        for leaf in pair.fields.gone:
            if is_filler(leaf) or leaf.place in spots or _covered(leaf, new):
                continue
            text = f"{leaf.path} ({leaf} at offset {leaf.offset}) is deleted from "
            hit = pair.hit(leaf.path, f"{text}{pair.record.name}")
            if change.before:
                place = change.before.place_of(pair.before, leaf.path)
                yield hit._replace(place=place, removed=True)


def fields_renamed(change: Change) -> Iterator[Hit]:
    """Most fields of a record get other names at once: it may be another record altogether."""
    for pair in _changed(change):
        renamed = [(old, new) for old, new in pair.fields.renamed if not _akin(old, new)]
        named = [leaf for leaf in abi_fields(pair.old) if not is_filler(leaf)]
        if len(renamed) < 2 or 2 * len(renamed) <= len(named):
            continue
        pairs = ", ".join(f"{old.path} to {new.path}" for old, new in renamed[:4])
        more = f" and {len(renamed) - 4} more" if len(renamed) > 4 else ""
        text = (
            f"{len(renamed)} of {len(named)} fields of {pair.record.name} get other names at the "
            f"same places ({pairs}{more}): a value that means something else now needs a record "
            f"of its own"
        )
        yield pair.hit(renamed[0][1].path, text)._replace(subject=pair.record.name)


def padding_gets_meaning(change: Change) -> Iterator[Hit]:
    """A field takes the place of padding, which old guests saved as 0."""
    for pair in _changed(change):
        old = abi_fields(pair.old)
        for leaf in pair.fields.fresh:
            if is_filler(leaf):
                continue
            under = [was for was in old if was.overlaps(leaf)]
            if leaf.start >= 8 * pair.old.size and not under:
                continue
            # What the hardware's manual calls reserved has 0 for its old meaning.
            if any(was.path.rsplit(".", 1)[-1].startswith("reserve") for was in under):
                continue
            # A value that lay over the padding, as a union's whole word does, was saved with it.
            if any(not is_filler(was) for was in under) or _replaces(leaf, pair.fields.gone):
                continue
            where = f"where {under[0].path or 'an unnamed field'} was" if under else "in a hole"
            text = (
                f"{leaf.path} of {pair.record.name} lies {where}: guests saved before have 0 "
                "there, which must mean what they did without it"
            )
            yield pair.hit(leaf.path, text)


def _changed(change: Change) -> Iterator[_Pair]:
    """The records of both sides whose layout differs and whose old layout nothing converts."""
    for before, record in change.staying:
        old, new = before.wire, record.wire
        if old is None or new is None or old is new:
            continue
        fields = compare(old, new, before.types, record.types)
        if fields.alike and old.size == new.size:
            continue
        if record.compat is not None and abi_fields(record.compat) == abi_fields(old):
            continue
        if _restored(change, record):
            continue
        excuse, severity = change.leniency(record.name)
        yield _Pair(change, before, record, old, new, fields, excuse, severity)


def _restored(change: Change, record: HeaderRecord) -> bool:
    """Tells whether the new layout is that of the base release, so that a fault is mended."""
    binding = change.base.binding(record.name) if change.base else None
    if binding is None or record.wire is None or record.wire.size != binding.size:
        return False
    return bool(binding.layout) and compare(layout(binding.layout), record.wire).alike


def _loads_shorter(change: Change, pair: _Pair) -> bool:
    mode = change.after.loads.get(pair.record.name)
    return mode == ZEROEXTEND and pair.new.size > pair.old.size


def _elements(leaf: AbiField) -> str:
    count = f"{leaf.repeat} " if leaf.repeat != 1 else ""
    return f"{count}elements of {leaf.stride} bytes"


def _ends(leaf: AbiField, of: Layout) -> bool:
    return all(other.end <= leaf.end for other in abi_fields(of))


def _grows(was: AbiField, leaf: AbiField) -> bool:
    return was.stride == leaf.stride and (was.items, was.repeat) < (leaf.items, leaf.repeat)


def _akin(old: AbiField, new: AbiField) -> bool:
    """Tells whether two names share a word, as apic_assist_msr and vp_assist_msr do."""
    words = (set(re.findall(r"[a-z]{3,}", leaf.path.lower())) for leaf in (old, new))
    return bool(set.intersection(*words))


def _replaces(leaf: AbiField, gone: Iterable[AbiField]) -> bool:
    """Tells whether a field stands where another, no padding, is gone: renamed or split up."""
    return any(not is_filler(was) and was.overlaps(leaf) for was in gone)


def _covered(leaf: AbiField, new: list[AbiField]) -> bool:
    """Tells whether a field's bytes are kept: fields split them exactly, or padding covers them."""
    if any(is_filler(n) and n.start <= leaf.start and leaf.stop <= n.stop for n in new):
        return True
    inside = [n for n in new if leaf.offset <= n.offset and n.end <= leaf.end and n.bits is None]
    return bool(inside) and sum(n.end - n.offset for n in inside) == leaf.end - leaf.offset
