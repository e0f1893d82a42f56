"""Rules on handlers: what the headers declare, the hypervisor registers, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.rules.numbers.model import Change, Hit

# The save and load loops of Xen write and read these two themselves.
WITHOUT_HANDLER = frozenset({"HEADER", "END"})


def record_registered_by_no_handler(change: Change) -> Iterator[Hit]:
    """A declared record is registered by no handler."""
    handlers = change.after.handlers
    if handlers is None:
        return
    registered = {handler.name for handler in handlers} | WITHOUT_HANDLER
    for record in change.after.headers.records:
        if record.name not in registered:
            yield Hit(
                record.place,
                record.name,
                f"{record.name} ({record.code}) is declared and no handler saves or loads it",
            )


def handler_registers_no_record(change: Change) -> Iterator[Hit]:
    """A handler is registered for a record that the headers do not declare."""
    declared = {record.name for record in change.after.headers.records}
    for handler in change.after.handlers or ():
        if handler.name not in declared:
            yield Hit(
                handler.place,
                handler.name,
                f"a handler is registered for {handler.name}, which the headers do not declare",
            )
