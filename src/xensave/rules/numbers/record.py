"""Rules on records: a record that a guest was saved with stays loadable under its number."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.headers.model import HeaderRecord
from xensave.rules.numbers.layouts.compare import compare
from xensave.rules.numbers.layouts.leaves import is_filler
from xensave.rules.numbers.model import Change, Hit


def record_renumbered(change: Change) -> Iterator[Hit]:
    """A record's name is bound to another number."""
    for old, new in _pairs(change):
        if new is not None and old.typecode != new.typecode:
            excuse, severity = change.leniency(old.name)
            yield Hit(
                new.place,
                new.name,
                f"{new.name} moves from {old.typecode} to {new.typecode}: "
                f"saved guests carry {old.typecode}{excuse}",
                key=f"{old.typecode} {new.typecode}",
                severity=severity,
            )


def record_renamed(change: Change) -> Iterator[Hit]:
    """A number keeps its layout and gets another name."""
    for old, new in _pairs(change):
        heir = None if new is not None else _heir(change, old)
        if heir is not None and _same_bytes(old, heir):
            yield Hit(
                heir.place,
                old.name,
                f"{old.typecode}: {old.name} is now called {heir.name}; "
                f"its {_size(heir)} bytes stay",
                key=heir.name,
            )


def record_deleted(change: Change) -> Iterator[Hit]:
    """A record is gone, or its number now means something else."""
    for old, new in _pairs(change):
        if new is not None:
            continue
        heir = _heir(change, old)
        excuse, severity = change.leniency(old.name)
        if heir is None:
            yield Hit(
                old.place,
                old.name,
                f"{old.name} ({old.typecode}) is deleted: guests saved with it no longer restore"
                f"{excuse}",
                removed=True,
                severity=severity,
            )
        elif not _same_bytes(old, heir):
            yield Hit(
                heir.place,
                old.name,
                f"{old.typecode} was {old.name} of {_size(old)} bytes and becomes {heir.name} of "
                f"{_size(heir)} bytes{excuse}: guests saved with {old.name} no longer restore",
                severity=severity,
            )


def record_of_other_struct(change: Change) -> Iterator[Hit]:
    """A record keeps name and number and is bound to a struct that shares no field with the old."""
    for old, new in _pairs(change):
        if new is None or old.wire is None or new.wire is None or old.typecode != new.typecode:
            continue
        if old.wire.struct == new.wire.struct:
            continue
        fields = compare(old.wire, new.wire, old.types, new.types)
        named = [leaf for leaf in fields.gone if not is_filler(leaf)]
        if fields.same or not named or len(fields.renamed) == len(named) == 1:
            continue
        excuse, severity = change.leniency(old.name)
        yield Hit(
            new.place,
            new.name,
            f"{new.name} ({new.typecode}) was struct {old.wire.struct} and becomes struct "
            f"{new.wire.struct}, which has none of its fields{excuse}",
            severity=severity,
        )


def _pairs(change: Change) -> Iterator[tuple[HeaderRecord, HeaderRecord | None]]:
    for old in change.before.headers.records if change.before else ():
        yield old, change.after.headers.record(old.name)


def _heir(change: Change, old: HeaderRecord) -> HeaderRecord | None:
    known = {record.name for record in change.before.headers.records} if change.before else set()
    return next(
        (
            record
            for record in change.after.headers.records
            if record.typecode == old.typecode and record.name not in known
        ),
        None,
    )


def _size(record: HeaderRecord) -> int | None:
    return record.layout.size if record.layout else None


def _same_bytes(old: HeaderRecord, new: HeaderRecord) -> bool:
    """Tells whether a record of another name holds the same struct, as far as its bytes go."""
    if _size(old) != _size(new):
        return False
    if old.wire is None or new.wire is None or old.wire.struct == new.wire.struct:
        return True
    fields = compare(old.wire, new.wire, old.types, new.types)
    return bool(fields.same) and not (fields.gone or fields.fresh or fields.shifts)
