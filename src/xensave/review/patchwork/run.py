"""Review the series of a Patchwork project, and post what was found to each patch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from xensave.errors import Malformed, SourceError, UsageError, XensaveError
from xensave.findings import ERROR, WARNING
from xensave.review.patchwork.client import CheckState, Client, PatchEntry, Series
from xensave.review.result import Review, ReviewResult, Untouched
from xensave.source.base import write_all
from xensave.source.output import writing

CONTEXT = "xensave-review"
_LONGEST = 250


class PatchCheck(NamedTuple):
    """What is posted to a patch: success, warning or fail, and a line that says why."""

    patch: int
    state: CheckState
    description: str


class Reviewed(NamedTuple):
    """A series with its review; `result` is None where it touches no numbers, or `error` says why.

    `posted` tells whether its checks were sent.
    """

    series: Series
    result: ReviewResult | None
    checks: tuple[PatchCheck, ...] = ()
    error: str = ""
    posted: bool = False


class Done:
    """The series that are done, in a file, so that a run which was broken off goes on.

    Without a path nothing is kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._done: set[int] = set(_read(path)) if path is not None else set()

    def __contains__(self, series: int) -> bool:
        return series in self._done

    def add(self, series: int) -> None:
        """Notes a series, and writes the file, whole or not at all.

        Raises SourceError where it cannot be written.
        """
        self._done.add(series)
        if self._path is None:
            return
        text = json.dumps({"schema": 1, "series": sorted(self._done)})
        try:
            with writing(self._path) as output:
                write_all(output.fd, memoryview(text.encode()))
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror or error}") from error


def review_all(
    client: Client,
    numbers: Iterable[int],
    review: Callable[[str, bytes], ReviewResult],
    done: Done,
    *,
    post: bool = False,
) -> Iterator[Reviewed]:
    """Reviews each series, posts its checks where asked, and notes that it is done.

    `review` takes the mails of a series. A series that cannot be reviewed is told, and the next
    one taken; trouble with the server ends the run, which can be started again.
    """
    for number in numbers:
        if number in done:
            continue
        series = client.series(number)
        if series.missing:
            # A part of a series is not judged for the whole; it is asked for again.
            yield Reviewed(series, None, error=f"is not complete: {series.missing}")
            continue
        reviewed = _reviewed(series, client.mails(series), review)
        if post and reviewed.checks:
            for check in reviewed.checks:
                client.post_check(check.patch, check.state, CONTEXT, check.description)
            reviewed = reviewed._replace(posted=True)
        # What a dry run saw is still to be posted by a later one.
        if post:
            done.add(number)
        yield reviewed


def _reviewed(
    series: Series, mails: bytes, review: Callable[[str, bytes], ReviewResult]
) -> Reviewed:
    try:
        result = review(f"series {series.id}", mails)
    except Untouched:
        return Reviewed(series, None)
    except XensaveError as error:
        return Reviewed(series, None, error=str(error))
    return Reviewed(series, result, tuple(_checks(series, result)))


def _checks(series: Series, result: ReviewResult) -> Iterator[PatchCheck]:
    for review in result.newest:
        patch = _patch_of(series, review)
        if patch is not None:
            yield PatchCheck(patch.id, *_state(review))


def _patch_of(series: Series, review: Review) -> PatchEntry | None:
    """The patch of the series that a review is of: by the mail's id, else by its title."""
    message = review.message
    if message is None:
        return None
    for patch in series.patches:
        if patch.message_id and patch.message_id == message.message_id:
            return patch
    return next((patch for patch in series.patches if patch.name.endswith(message.title)), None)


def _state(review: Review) -> tuple[CheckState, str]:
    severities = [objection.finding.severity for objection in review.objections]
    if not severities:
        return "success", "no objection"
    rules = ", ".join(dict.fromkeys(o.finding.rule for o in review.objections))
    counts = ", ".join(
        f"{severities.count(severity)} {severity}{'' if severities.count(severity) == 1 else 's'}"
        for severity in dict.fromkeys(severities)
    )
    standing = {o.finding.severity for o in review.objections if not o.settled}
    if standing.isdisjoint((ERROR, WARNING)) and not {ERROR, WARNING}.isdisjoint(severities):
        return "warning", f"{counts}, settled by a later patch: {rules}"[:_LONGEST]
    state: CheckState = (
        "fail" if ERROR in standing else "warning" if WARNING in standing else "success"
    )
    return state, f"{counts}: {rules}"[:_LONGEST]


def _read(path: str) -> list[int]:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{path}: {error}") from error
    series = data.get("series") if isinstance(data, dict) else None
    if not isinstance(series, list) or not all(isinstance(item, int) for item in series):
        raise UsageError(f"{path}: not a file that this command wrote")
    return series
