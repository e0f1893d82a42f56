"""What records of libxl and libxc keep to alike: known types, first words, padding, no body."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator

from xensave.container.events import Event
from xensave.container.framing import OPTIONAL
from xensave.container.streams.libxc_records import PAIR
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


def unknown_type(
    event: Event, known: Collection[int], optional: StreamRule, mandatory: StreamRule, then: str
) -> Iterator[Fault]:
    """Yields the fault of a record of no known type; `then` is what a reader does if it may be."""
    if event.type in known:
        return
    what = f"type {event.type:#x} is not known"
    if event.type & OPTIONAL:
        yield Fault(optional, f"{what}{then}")
    else:
        yield Fault(mandatory, f"{what}: a restore fails")


def first_word(
    event: Event, short: StreamRule, reserved: StreamRule
) -> Generator[Fault, None, int | None]:
    """Yields the faults of a record's first two words; returns the first, None without both.

    The second is reserved, and zero.
    """
    if event.length < PAIR.size:
        yield Fault(short, f"{event.length} bytes, at least {PAIR.size} expected")
        return None
    word: int
    word, rest = PAIR.unpack(event.prefix(PAIR.size))
    if rest:
        yield Fault(reserved, f"reserved field is {rest:#x}", event.body_offset + 4)
    return word
