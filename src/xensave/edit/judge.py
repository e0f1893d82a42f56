"""Ask the toolstack and the engine whether a release takes what was edited."""

from __future__ import annotations

from xensave.container.events import HEADER_KIND, Event
from xensave.container.frames.xl import XL_FORMAT
from xensave.convert.stream.made import ConvertedEvent, GrowingImage, refusal_of
from xensave.engine.verdict import Refused, Verdict
from xensave.errors import XensaveError
from xensave.source import MemorySource
from xensave.toolstack.restore import judge


class EditRefused(XensaveError):
    """A release would refuse what was edited; `verdict` says why."""

    def __init__(self, message: str, verdict: Refused) -> None:
        super().__init__(message, record=verdict.record)
        self.verdict = verdict


class EditedImage(GrowingImage):
    """The edited image as it grows."""

    def take(self, event: Event, new: bytes | None) -> None:
        """Takes in an event, or what it became."""
        self.add(event if new is None else _edited(event, new))

    def check(self, target: str) -> Verdict:
        """Returns the verdict of a release on what was taken in so far.

        Raises EditRefused where the release would refuse the image.
        """
        verdict = judge(self.facts(), target)
        if isinstance(verdict, Refused):
            message = f"{refusal_of(verdict, target)} (--force writes it all the same)"
            raise EditRefused(message, verdict)
        return verdict


def _edited(event: Event, new: bytes) -> Event:
    if event.kind == HEADER_KIND:
        # The one header that is edited is that of xl, with the configuration behind it.
        return next(XL_FORMAT.walk(MemorySource(new)))
    return ConvertedEvent(event, new)
