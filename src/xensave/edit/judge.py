"""Ask the toolstack and the engine whether a release takes what was edited."""

from __future__ import annotations

from xensave.container.events import HEADER_KIND, Event
from xensave.container.frames.xl import XL_FORMAT
from xensave.convert.stream.made import ConvertedEvent
from xensave.engine.verdict import Refused, Verdict
from xensave.errors import XensaveError
from xensave.image.facts.guest import facts_of
from xensave.image.facts.pages import PageTally
from xensave.image.tally import Tally
from xensave.rules.stream.run import Checks
from xensave.source import MemorySource
from xensave.toolstack.restore import judge


class EditRefused(XensaveError):
    """A release would refuse what was edited; `verdict` says why."""

    def __init__(self, message: str, verdict: Refused) -> None:
        super().__init__(message, record=verdict.record)
        self.verdict = verdict


class Judged:
    """The edited image as it grows: its records and what rules they break, without its pages."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._checks = Checks()
        self._pages = PageTally()

    def add(self, event: Event, new: bytes | None) -> None:
        """Takes in an event, or what it became."""
        made = event if new is None else _edited(event, new)
        self._tally.add(made)
        self._checks.add(made)
        self._pages.add(made)

    def check(self, target: str) -> Verdict:
        """Returns the verdict of a release on what was taken in so far.

        Raises EditRefused where the release would refuse the image.
        """
        facts = facts_of(
            self._tally,
            "the result",
            broken=tuple(self._checks.findings),
            pages=self._pages.facts,
        )
        verdict = judge(facts, target)
        if isinstance(verdict, Refused):
            errno = f" with {verdict.errno}" if verdict.errno else ""
            raise EditRefused(
                f"Xen {target} would refuse the result{errno}: {verdict.reason}"
                " (--force writes it all the same)",
                verdict,
            )
        return verdict


def _edited(event: Event, new: bytes) -> Event:
    if event.kind == HEADER_KIND:
        # The one header that is edited is that of xl, with the configuration behind it.
        return next(XL_FORMAT.walk(MemorySource(new)))
    return ConvertedEvent(event, new)
