"""Rules on a record's layout over time: what was saved with the old one must still load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave.catalogue.model import ZEROEXTEND, Layout
from xensave.headers.model import HeaderRecord
from xensave.rules.numbers.leaves import Leaf, is_filler, leaves
from xensave.rules.numbers.model import Change, Hit


class _Pair(NamedTuple):
    """A record whose layout changes: before, after, and what makes the old one loadable."""

    before: HeaderRecord
    record: HeaderRecord
    old: Layout
    new: Layout
    excuse: str
    severity: str | None


def record_size_changed(change: Change) -> Iterator[Hit]:
    """A record changes its size and the old size is not accepted any more."""
    for pair in _changed(change):
        if pair.old.size == pair.new.size or _loads_shorter(change, pair):
            continue
        yield Hit(
            change.after.place_of(pair.record),
            pair.record.name,
            f"{pair.record.name} changes from {pair.old.size} to {pair.new.size} bytes, "
            f"and no compat form or zero-extended load takes the old size{pair.excuse}",
            key=f"{pair.old.size} {pair.new.size}",
            severity=pair.severity,
        )


def field_changed(change: Change) -> Iterator[Hit]:
    """A field keeps its name and changes its width, its type's sign or its number of elements."""
    for pair in _changed(change):
        old = {leaf.path: leaf for leaf in leaves(pair.old)}
        for leaf in leaves(pair.new):
            was = old.get(leaf.path)
            if was is None or is_filler(leaf) or 0 in (was.items, leaf.items):
                continue
            if _shape(was) != _shape(leaf):
                yield Hit(
                    change.after.place_of(pair.record, leaf.path),
                    f"{pair.record.name}.{leaf.path}",
                    f"{leaf.path} of {pair.record.name} was {_describe(was)} and becomes "
                    f"{_describe(leaf)}{pair.excuse}",
                    severity=pair.severity,
                )


def field_inserted(change: Change) -> Iterator[Hit]:
    """New fields push fields that were saved before to another offset."""
    for pair in _changed(change):
        old = {leaf.path: leaf for leaf in leaves(pair.old)}
        for run, moved in _runs(leaves(pair.new), old):
            names = run[0].path if len(run) == 1 else f"{run[0].path} to {run[-1].path}"
            yield Hit(
                change.after.place_of(pair.record, run[0].path),
                f"{pair.record.name}.{run[0].path}",
                f"{names} of {pair.record.name} {'is' if len(run) == 1 else 'are'} inserted: "
                f"{moved.path} moves from offset {old[moved.path].offset} to {moved.offset}"
                f"{pair.excuse}",
                severity=pair.severity,
            )


def _runs(new: list[Leaf], old: dict[str, Leaf]) -> Iterator[tuple[list[Leaf], Leaf]]:
    """Runs of new leaves, each with the first old leaf that it pushes on."""
    present = {leaf.path for leaf in new}
    gone = [leaf for leaf in old.values() if leaf.path not in present or is_filler(leaf)]
    run: list[Leaf] = []
    pushed = 0
    for leaf in new:
        was = old.get(leaf.path)
        if was is None:
            run += [] if _takes_over(leaf, gone) else [leaf]
            continue
        if run and leaf.offset - was.offset > pushed:
            yield run, leaf
        pushed, run = leaf.offset - was.offset, []


def field_deleted(change: Change) -> Iterator[Hit]:
    """A field that was saved is gone and nothing stands at its place."""
    for pair in _changed(change):
        new = leaves(pair.new)
        names = {leaf.path for leaf in new}
        spots = {(leaf.offset, leaf.size, leaf.bits) for leaf in new}
        for leaf in leaves(pair.old):
            if leaf.path in names or is_filler(leaf):
                continue
            if (leaf.offset, leaf.size, leaf.bits) not in spots and not _covered(leaf, new):
                at = change.before.place_of(pair.before, leaf.path) if change.before else None
                yield Hit(
                    at or change.after.place_of(pair.record),
                    f"{pair.record.name}.{leaf.path}",
                    f"{leaf.path} ({_describe(leaf)} at offset {leaf.offset}) is deleted from "
                    f"{pair.record.name}{pair.excuse}",
                    removed=at is not None,
                    severity=pair.severity,
                )


def _changed(change: Change) -> Iterator[_Pair]:
    """The records of both sides whose layout differs and whose old layout nothing converts."""
    for before in change.before.headers.records if change.before else ():
        record = change.after.headers.record(before.name)
        if record is None or record.layout is None or before.layout is None:
            continue
        old, new = before.layout, record.layout
        if leaves(old) == leaves(new) and old.size == new.size:
            continue
        if record.compat is not None and leaves(record.compat) == leaves(old):
            continue
        excuse, severity = change.leniency(record.name)
        yield _Pair(before, record, old, new, excuse, severity)


def _loads_shorter(change: Change, pair: _Pair) -> bool:
    mode = change.after.loads.get(pair.record.name)
    return mode == ZEROEXTEND and pair.new.size > pair.old.size


def _shape(leaf: Leaf) -> tuple[int, int, bool, int | None]:
    return leaf.size, leaf.items, _signed(leaf.type), leaf.bits[1] if leaf.bits else None


def _signed(name: str) -> bool:
    return not name.startswith(("u", "unsigned", "bool", "_Bool", "char", "size_t"))


def _describe(leaf: Leaf) -> str:
    bits = f":{leaf.bits[1]}" if leaf.bits else ""
    dims = f"[{leaf.items}]" if leaf.items != 1 else ""
    return f"{leaf.type}{dims}{bits}"


def _takes_over(leaf: Leaf, gone: list[Leaf]) -> bool:
    """Does a new name stand where another that is gone, or padding, stood before?"""
    return any(leaf.offset >= was.offset and leaf.end <= was.end for was in gone)


def _covered(leaf: Leaf, new: list[Leaf]) -> bool:
    """Are a field's bytes kept: by fields that split them exactly, or by padding over them?"""
    if any(is_filler(n) and n.offset <= leaf.offset and leaf.end <= n.end for n in new):
        return True
    inside = [n for n in new if leaf.offset <= n.offset and n.end <= leaf.end and n.bits is None]
    return bool(inside) and sum(n.end - n.offset for n in inside) == leaf.end - leaf.offset
