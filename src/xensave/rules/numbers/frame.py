"""Rules on what stands around every record: the descriptor, the header's magic and version."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.findings import Place
from xensave.rules.numbers.layouts.compare import compare
from xensave.rules.numbers.model import Change, Hit


def descriptor_changed(change: Change) -> Iterator[Hit]:
    """The descriptor before each record gets another form: no saved context can be read."""
    before, after = change.was.frame, change.after.headers.frame
    old, new = before.descriptor, after.descriptor
    if old is None:
        return
    if new is None:
        yield Hit(before.place or Place(), "descriptor", "the descriptor is gone", removed=True)
        return
    difference = compare(old, new)
    reshaped = [(was, leaf) for was, leaf in difference.same if was.shape != leaf.shape]
    if old.size == new.size and not difference.shifts and not reshaped:
        return
    names = [f"{was.path} was {was} and becomes {leaf}" for was, leaf in reshaped]
    names += [str(shift) for shift in difference.shifts]
    sizes = f"{old.size} to {new.size} bytes" if old.size != new.size else f"{new.size} bytes"
    what = f"{sizes}: {'; '.join(names) or 'its fields'}"
    text = f"the descriptor before every record changes ({what}): no context saved before can be "
    yield Hit(after.place or Place(), "descriptor", f"{text}read")


def magic_or_version_changed(change: Change) -> Iterator[Hit]:
    """HVM_FILE_MAGIC or HVM_FILE_VERSION gets another value."""
    after = change.after.headers.frame.constants
    for name, (was, place) in change.was.frame.constants.items():
        value, at = after.get(name, (None, place))
        if value != was:
            now = "is gone" if value is None else f"becomes {value:#x}"
            text = f"{name} was {was:#x} and {now}: a load refuses every context saved before"
            yield Hit(at, name, text, removed=value is None)
