"""What records of libxl and libxc keep to alike: zero padding, and markers without a body."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import Event
from xensave.rules.stream.model import Fault, StreamRule


def zero_padding(event: Event, rule: StreamRule) -> Iterator[Fault]:
    """Yields the fault of a record whose padding is not zero."""
    padding = event.padding()
    if any(padding):
        yield Fault(rule, f"padding is {padding.hex(' ')}", event.body_offset + event.length)


def without_body(event: Event, rule: StreamRule) -> Iterator[Fault]:
    """Yields the fault of a record that only marks a place, and has a body."""
    if event.length:
        yield Fault(rule, f"has a body of {event.length} bytes, expected none")
