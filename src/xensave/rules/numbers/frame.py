"""Rules on what stands around every record: the descriptor, the header's magic and version."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.findings import Place
from xensave.rules.numbers.layouts.compare import compare
from xensave.rules.numbers.model import Change, Hit


def descriptor_changed(change: Change) -> Iterator[Hit]:
    """The descriptor before each record gets another form: no saved context can be read."""
    if change.before is None:
        return
    before, after = change.before.headers.frame, change.after.headers.frame
    old, new = before.descriptor, after.descriptor
    if old is None:
        return
    if new is None:
        yield Hit(before.place or Place(), "descriptor", "the descriptor is gone", removed=True)
        return
    difference = compare(old, new)
    if (
        old.size == new.size
        and not difference.shifts
        and all(o.shape == n.shape for o, n in difference.same)
    ):
        return
    names = [f"{was.path} was {was} and becomes {leaf}" for was, leaf in difference.same
             if was.shape != leaf.shape]  # fmt: skip
    names += [str(shift) for shift in difference.shifts]
    sizes = f"{old.size} to {new.size} bytes" if old.size != new.size else f"{new.size} bytes"
    yield Hit(
        after.place or Place(),
        "descriptor",
        f"the descriptor before every record changes ({sizes}: {'; '.join(names) or 'its fields'}):"
        " no context saved before can be read",
    )


def magic_or_version_changed(change: Change) -> Iterator[Hit]:
    """HVM_FILE_MAGIC or HVM_FILE_VERSION gets another value."""
    before = change.before.headers.frame.constants if change.before else {}
    after = change.after.headers.frame.constants
    for name, (was, place) in before.items():
        value, at = after.get(name, (None, place))
        if value != was:
            now = "is gone" if value is None else f"becomes {value:#x}"
            yield Hit(
                at,
                name,
                f"{name} was {was:#x} and {now}: a load refuses every context saved before",
                removed=value is None,
            )
