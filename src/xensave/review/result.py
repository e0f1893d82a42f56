"""What a review found: values that the views print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xensave.errors import UsageError
from xensave.findings import ERROR, NOTE, WARNING, Severity
from xensave.review.config import Waived
from xensave.review.patches.mail import Message
from xensave.review.patches.patch import FilePatch
from xensave.review.patches.trailers import Trailer
from xensave.rules.numbers.model import Objection

SEVERITIES = (NOTE, WARNING, ERROR)


class Untouched(UsageError):
    """A change that leaves the save headers and their handlers as they are."""


class Review(NamedTuple):
    """One patch, range or state, reviewed.

    `title` names it, `base` is the release that it was held against ("" for none) and `why` says
    how that was found. `message` and `files` are those of a patch; `source` is where it was read.
    `series` is the same number for all patches of a series, in every version. `unseen` are files of
    the patch that were not looked at.
    """

    title: str
    objections: tuple[Objection, ...]
    waived: tuple[Waived, ...] = ()
    base: str = ""
    why: str = ""
    source: str = ""
    message: Message | None = None
    files: tuple[FilePatch, ...] = ()
    trailers: tuple[Trailer, ...] = ()
    series: int = 0
    unseen: tuple[str, ...] = ()


class VersionProgress(NamedTuple):
    """From one version of a series to the next: what became of the objections and trailers."""

    older: int
    newer: int
    settled: tuple[Objection, ...]
    left: tuple[Objection, ...]
    added: tuple[Objection, ...]
    carried: tuple[Trailer, ...]
    gained: tuple[Trailer, ...]
    dropped: tuple[Trailer, ...]


class ReviewResult(NamedTuple):
    """All that one run reviewed.

    `skipped` names patches that touch no save header, `answers` replies that show a diff of their
    own, which was not looked at.
    `progress` compares each version of a series with the one before it.
    """

    reviews: tuple[Review, ...]
    progress: tuple[VersionProgress, ...] = ()
    skipped: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def newest(self) -> tuple[Review, ...]:
        """The reviews of the newest version of each series: what the verdict rests on."""
        last: dict[int, int] = {}
        for review in self.reviews:
            if review.message:
                version = max(last.get(review.series, 0), review.message.version)
                last[review.series] = version
        return tuple(
            review
            for review in self.reviews
            if review.message is None or review.message.version == last[review.series]
        )

    def fails(self, severity: Severity) -> bool:
        """Tells whether the newest version draws an objection of this severity or above.

        What a later patch of the series settles does not count: as a whole it is right.
        """
        floor = SEVERITIES.index(severity)
        return any(
            SEVERITIES.index(objection.finding.severity) >= floor
            for objection in objections_of(self.newest)
            if not objection.settled
        )


def objections_of(reviews: Iterable[Review]) -> list[Objection]:
    """Returns the objections of several reviews, in their order."""
    return [objection for review in reviews for objection in review.objections]
