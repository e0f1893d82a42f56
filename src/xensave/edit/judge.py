"""Ask the toolstack and the engine whether a release takes what was edited."""

from __future__ import annotations

from xensave.container import libxc
from xensave.container.events import LIBXC, TRAILER, Event
from xensave.engine.verdict import Refused, Verdict
from xensave.errors import LimitExceeded, XensaveError
from xensave.image import open_image
from xensave.image.pages import PageFacts
from xensave.image.tally import KEEP_LIMIT
from xensave.toolstack.restore import judge


class EditRefused(XensaveError):
    """A release would refuse what was edited; `verdict` says why."""

    def __init__(self, message: str, verdict: Refused) -> None:
        super().__init__(message, record=verdict.record)
        self.verdict = verdict


class Judged:
    """The edited image without its pages, gathered to be judged before its end is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, event: Event, new: bytes | None) -> None:
        """Take in an event, or what it became."""
        if event.is_record(LIBXC, libxc.PAGE_DATA) or event.kind == TRAILER:
            return
        part = event.to_bytes() if new is None else new
        self._size += len(part)
        if self._size > KEEP_LIMIT:
            raise LimitExceeded(
                f"records other than pages take more than {KEEP_LIMIT} bytes", offset=event.offset
            )
        self._parts.append(part)

    def check(self, target: str, end: bytes) -> Verdict:
        """Return the verdict of a release; `end` closes the streams that are open.

        Raises EditRefused where the release would refuse the image.
        """
        with open_image(b"".join(self._parts) + end) as image:
            # The pages were left out here; those of the edited image are as they were.
            facts = image.facts._replace(pages=PageFacts(runs=((0, 0),)))
            verdict = judge(facts, target)
        if isinstance(verdict, Refused):
            errno = f" with {verdict.errno}" if verdict.errno else ""
            raise EditRefused(
                f"Xen {target} would refuse the result{errno}: {verdict.reason}"
                " (--force writes it all the same)",
                verdict,
            )
        return verdict
