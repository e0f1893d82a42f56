"""Rules of xend's save files (tools/python/xen/xend/XendCheckpoint.py)."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import XEND, Event
from xensave.container.frames import sexp
from xensave.container.frames.xend import XEND_FORMAT
from xensave.errors import LimitExceeded
from xensave.findings import ERROR, WARNING
from xensave.rules.stream.model import Check, Fault, StreamRule
from xensave.rules.stream.state import StreamState

PRESENT = StreamRule("XEND_CONFIG_PRESENT", ERROR, "xend's header announces a configuration.")
BOUNDED = StreamRule(
    "XEND_CONFIG_BOUNDED", WARNING, "xend's configuration is of a configuration's size."
)
READABLE = StreamRule("XEND_CONFIG_READABLE", ERROR, "xend's configuration is an s-expression.")


def header(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the configuration."""
    if not event.length:
        yield Fault(PRESENT, "no configuration: xend refuses it")
    elif event.length > sexp.SIZE_LIMIT:
        yield Fault(BOUNDED, f"{event.length} bytes of configuration are not looked into")
    else:
        wrong = XEND_FORMAT.describe(bytes(event.body())).wrong
        if isinstance(wrong, LimitExceeded):
            yield Fault(BOUNDED, f"{wrong.message}: it is not looked into", event.body_offset)
        elif wrong is not None:
            yield Fault(READABLE, wrong.message, event.body_offset)


# fmt: off
CHECKS = (
    Check(XEND, (), header, (PRESENT, BOUNDED, READABLE), "header"),
)
# fmt: on
