"""Rules of the input as a whole: that it can be followed, and that it ends where it should."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import Event
from xensave.container.frames.xl import MESSAGE
from xensave.errors import LimitExceeded, Truncated, Unsupported, XensaveError
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.model import Fault, StreamRule
from xensave.rules.stream.state import StreamState

TRUNCATED = StreamRule("STREAM_COMPLETE", ERROR, "The input does not end before the stream does.")
FOLLOWED = StreamRule("STREAM_WELL_FORMED", ERROR, "Headers say what follows, and it does.")
SUPPORTED = StreamRule(
    "STREAM_SUPPORTED", ERROR, "The stream is of a version and byte order read here."
)
LIMITED = StreamRule("STREAM_WITHIN_LIMITS", ERROR, "The input keeps within the limits set for it.")
TRAILER = StreamRule("STREAM_ENDS_THE_INPUT", WARNING, "Nothing follows the stream.")
CONTROL = StreamRule(
    "STREAM_MIGRATION_CONTROL", NOTE, "After a live migration xl's own messages follow."
)

STOPS = (TRUNCATED, FOLLOWED, SUPPORTED, LIMITED)


def trailer(event: Event, state: StreamState) -> Iterator[Fault]:
    """Tells the messages of a live migration from bytes that do not belong, at the first one."""
    if state.trailing:
        return
    head = bytes(event.prefix(len(MESSAGE)))
    if head and MESSAGE.startswith(head):
        yield Fault(CONTROL, "xl's message to the receiver of a live migration")
    else:
        yield Fault(TRAILER, "bytes follow the end of the stream")


def rule_of(error: XensaveError) -> StreamRule:
    """Returns the rule that is broken where a stream cannot be followed any further."""
    if isinstance(error, Truncated):
        return TRUNCATED
    if isinstance(error, Unsupported):
        return SUPPORTED
    return LIMITED if isinstance(error, LimitExceeded) else FOLLOWED
