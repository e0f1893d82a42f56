"""Rules on handlers: what the headers declare, the hypervisor saves and loads as before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xensave.findings import NOTE, Place
from xensave.headers.model import HeaderRecord
from xensave.headers.text.registrations import Registration
from xensave.rules.numbers.layouts.compare import compare
from xensave.rules.numbers.layouts.leaves import abi_fields, is_filler
from xensave.rules.numbers.model import Change, Hit, accepts, lost_sizes

# The save and load loops of Xen write and read these two themselves.
WITHOUT_HANDLER = frozenset({"HEADER", "END"})
_RESERVED = re.compile(r"(?:^|_)(?:rsvd|reserved|mbz|zero)(?:_|\d|$)", re.IGNORECASE)


def record_registered_by_no_handler(change: Change) -> Iterator[Hit]:
    """A declared record is registered by no handler, or by one that does not load it."""
    handlers = change.after.handlers
    if handlers is None:
        yield from _not_looked_for(change)
        return
    registered = {handler.record: handler for handler in handlers.registrations}
    for record in change.after.headers.records:
        handler = registered.get(record.name)
        if handler is None and record.name not in WITHOUT_HANDLER:
            text = f"{record.name} ({record.typecode}) is declared and no handler saves or loads it"
            yield Hit.on(record, text)
        elif handler is not None and not handler.load:
            text = f"{record.name} ({record.typecode}) is registered without a function that "
            yield Hit(handler.place, record.name, f"{text}loads it", "load")


def _not_looked_for(change: Change) -> Iterator[Hit]:
    """Without the C of a change, a note on each record that is new or has another name."""
    if change.before is None:
        return
    remedy = "Give the tree with --tree, or the patch that registers it."
    for record in change.after.headers.records:
        if record.name not in change.was.by_name and record.name not in WITHOUT_HANDLER:
            text = (
                f"whether a handler saves and loads {record.name} ({record.typecode}) was not "
                "looked at: there is no C beside the headers"
            )
            yield Hit.on(record, text, "unseen", severity=NOTE, remedy=remedy)


def handler_registers_no_record(change: Change) -> Iterator[Hit]:
    """A handler is registered for a record that the headers do not declare."""
    declared = change.after.headers.by_name
    handlers = change.after.handlers
    for handler in handlers.registrations if handlers else ():
        if handler.record not in declared:
            text = f"a handler is registered for {handler.record}, which the headers do not declare"
            yield Hit(handler.place, handler.record, text)


def record_kind_changed(change: Change) -> Iterator[Hit]:
    """A record was saved per vCPU and is loaded per domain, or the other way round."""
    for before, record in change.staying:
        was = change.before.kinds.get(before.name) if change.before else None
        kind = change.after.kinds.get(record.name)
        if was and kind and was != kind:
            excuse, severity = change.leniency(record.name)
            text = (
                f"{record.name} was registered per {_PER[was]} and is per {_PER[kind]}: the "
                f"instance of a saved record then names another thing{excuse}"
            )
            place = _place(change, record)
            yield Hit(place, record.name, text, f"{was} {kind}", severity=severity)


_PER = {"vcpu": "vCPU", "domain": "domain"}


def record_loads_fewer_sizes(change: Change) -> Iterator[Hit]:
    """A load takes no more what releases wrote, though the record's own size stays."""
    for before, record in change.staying:
        if before.wire is None or record.wire is None or change.before is None:
            continue
        yield from _not_converted(change, before, record)
        if before.name not in change.before.loads or record.name not in change.after.loads:
            continue
        if before.wire.size != record.wire.size and not accepts(
            change.after, record, before.wire.size
        ):
            continue  # its changed size says so already
        lost = lost_sizes(change, before, record)
        if lost:
            text = f"{record.name} no longer loads from {lost}: guests saved there do not restore"
            yield Hit(_place(change, record), record.name, text, lost)


def _not_converted(change: Change, before: HeaderRecord, record: HeaderRecord) -> Iterator[Hit]:
    """The compat form of a record is gone, or takes another struct than the one that was saved."""
    old, new = before.compat, record.compat
    if old is None or old is new or record.wire is None:
        return
    if (new is not None and compare(old, new).alike) or not compare(old, record.wire).shifts:
        return
    releases = change.saved.get(record.name, {}).get(old.size, ())
    who = f" ({releases[0]} to {releases[-1]})" if releases else ""
    text = (
        f"{record.name} no longer converts {old.size} bytes{who}, whose fields lie elsewhere: "
        "guests saved there do not restore"
    )
    yield Hit.on(record, text, f"compat {old.size}")


def reserved_field_not_checked(change: Change) -> Iterator[Hit]:
    """A reserved field is new, and its record's load or check does not look at it."""
    for before, record in change.staying:
        if before.wire is None or record.wire is None or before.wire is record.wire:
            continue
        handler = change.handler_of(record.name)
        code = handler.bodies if handler else ()
        for leaf in compare(before.wire, record.wire).fresh:
            name = leaf.path.rsplit(".", 1)[-1]
            if not is_filler(leaf) or not _RESERVED.search(name):
                continue
            if any(was.overlaps(leaf) for was in abi_fields(before.wire)) or any(
                re.search(rf"\b{re.escape(name)}\b", text) for text in code
            ):
                continue
            if name in change.after.checked:
                continue
            text = (
                f"{leaf.path} of {record.name} is reserved and no load checks it to be zero: "
                "what guests carry there can never get a meaning"
            )
            yield change.on_field(record, leaf.path, text)


def check_needs_later_load(change: Change) -> Iterator[Hit]:
    """A check hook reads what the load of a record sets up, and every check comes first."""
    yield from _read_before_it_is_said(change)
    handlers = change.after.handlers
    if handlers is None or not handlers.check_pass:
        return
    new = [r for r in handlers.registrations if _is_new(change, r)]
    for loads in new:
        sets = _set_up(loads)
        for checks in handlers.registrations:
            if checks.record == loads.record or not checks.bodies[1]:
                continue
            words = set(re.findall(r"\w+", checks.bodies[1]))
            shared = sorted(sets & words)
            if shared:
                text = (
                    f"{checks.check} of {checks.record} may need {shared[0]}, which "
                    f"{loads.load} of {loads.record} sets up: every check comes before any load"
                )
                yield Hit(loads.place, loads.record, text, checks.record)


def _read_before_it_is_said(change: Change) -> Iterator[Hit]:
    """A new record that is named after a field of an earlier one, which is checked before it."""
    checked = change.after.handlers.check_pass if change.after.handlers else False
    if change.before is None or not (checked or (change.base and change.base.check_pass)):
        return
    known = change.before.headers.by_name
    new = [record for record in change.after.headers.records if record.name not in known]
    fields: dict[str, HeaderRecord] = {}
    for earlier in known.values() if new else ():
        for leaf in abi_fields(earlier.wire) if earlier.wire else ():
            fields.setdefault(leaf.path.rsplit(".", 1)[-1], earlier)
    for record in new:
        words = record.name.lower().split("_")
        # A name of one word is too common to tell.
        ends = ("_".join(words[start:]) for start in range(len(words) - 1))
        name = next((end for end in ends if end in fields), "")
        if name and fields[name].typecode < record.typecode:
            earlier = fields[name]
            text = (
                f"{record.name} ({record.typecode}) seems to say how {name} of {earlier.name} "
                f"({earlier.typecode}) is read, and every check, {earlier.name}'s too, comes "
                "before any load"
            )
            yield Hit.on(record, text, earlier.name)


def _is_new(change: Change, handler: Registration) -> bool:
    before = change.before.handlers if change.before else None
    return before is not None and before.of(handler.record) is None


def _set_up(handler: Registration) -> set[str]:
    """The members of structs that a load function assigns to, but for its own record's."""
    names = re.findall(r"(?:->|\.)\s*(\w+)\s*(?:\[[^\]]*\]\s*)?=(?!=)", handler.bodies[0])
    return {name for name in names if len(name) > 3}


def _place(change: Change, record: HeaderRecord) -> Place:
    handler = change.handler_of(record.name)
    return handler.place if handler else record.place
