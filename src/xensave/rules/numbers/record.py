"""Rules on records: a record that a guest was saved with stays loadable under its number."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.headers.model import HeaderRecord
from xensave.rules.numbers.layouts.compare import compare
from xensave.rules.numbers.layouts.leaves import is_filler
from xensave.rules.numbers.model import Change, Hit


def record_renumbered(change: Change) -> Iterator[Hit]:
    """A record's name is bound to another number."""
    for old, new in change.staying:
        if old.typecode != new.typecode:
            excuse, severity = change.leniency(old.name)
            text = f"{new.name} moves from {old.typecode} to {new.typecode}: saved guests carry "
            text += f"{old.typecode}{excuse}"
            yield Hit.on(new, text, f"{old.typecode} {new.typecode}", severity=severity)


def record_renamed(change: Change) -> Iterator[Hit]:
    """A number keeps its layout and gets another name."""
    for old, heir in _gone(change):
        if heir is not None and _same_bytes(old, heir):
            text = f"{old.typecode}: {old.name} is now called {heir.name}; its {_size(heir)} bytes "
            yield Hit(heir.place, old.name, f"{text}stay", heir.name)


def record_deleted(change: Change) -> Iterator[Hit]:
    """A record is gone, or its number now means something else."""
    for old, heir in _gone(change):
        excuse, severity = change.leniency(old.name)
        if heir is None:
            text = f"{old.name} ({old.typecode}) is deleted: guests saved with it no longer restore"
            yield Hit.on(old, f"{text}{excuse}", removed=True, severity=severity)
        elif not _same_bytes(old, heir):
            text = (
                f"{old.typecode} was {old.name} of {_size(old)} bytes and becomes {heir.name} of "
                f"{_size(heir)} bytes{excuse}: guests saved with {old.name} no longer restore"
            )
            yield Hit(heir.place, old.name, text, severity=severity)


def record_of_other_struct(change: Change) -> Iterator[Hit]:
    """A record keeps name and number and is bound to a struct that shares no field with the old."""
    for old, new in change.staying:
        if old.wire is None or new.wire is None or old.typecode != new.typecode:
            continue
        if old.wire.struct == new.wire.struct:
            continue
        fields = compare(old.wire, new.wire, old.types, new.types)
        named = [leaf for leaf in fields.gone if not is_filler(leaf)]
        if fields.same or not named or len(fields.renamed) == len(named) == 1:
            continue
        excuse, severity = change.leniency(old.name)
        text = (
            f"{new.name} ({new.typecode}) was struct {old.wire.struct} and becomes struct "
            f"{new.wire.struct}, which has none of its fields{excuse}"
        )
        yield Hit.on(new, text, severity=severity)


def _gone(change: Change) -> Iterator[tuple[HeaderRecord, HeaderRecord | None]]:
    """The records whose names are gone, each with the new one that has its number."""
    after = change.after.headers
    known = change.was.by_name
    new = {
        record.typecode: record for record in reversed(after.records) if record.name not in known
    }
    for old in change.was.records:
        if old.name not in after.by_name:
            yield old, new.get(old.typecode)


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
