"""The rules over every commit that ever touched the headers: what they would have said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from xensave.errors import Malformed, UsageError
from xensave.review.result import Review
from xensave.review.run import ReviewSetting, review_change
from xensave.review.trees.revisions import HEADERS, Revisions
from xensave.rules.numbers.model import Side

EVERYTHING = "all"


class CommitReview(NamedTuple):
    """A commit and what the rules say of it.

    `unread` is the compiler's message where the headers of the commit, or of the one before it,
    cannot be read. `whole` says that there is no state before it to compare with, so that all of
    it was looked at.
    """

    commit: str
    date: datetime
    subject: str
    review: Review | None
    unread: str = ""
    whole: bool = False


def history(revisions: Revisions, revision: str, setting: ReviewSetting) -> Iterator[CommitReview]:
    """Yields every commit up to `revision` that touched the save headers, oldest first.

    "all" takes every branch and tag. Of merges only those count that draw an objection against each
    of their parents: what others bring is in the parents.

    Raises UsageError where no commit touches them.
    """
    where = "--all" if revision == EVERYTHING else revisions.tree(revision).commit
    log = revisions.repository.git(
        "log", "--full-history", "--date-order", "--reverse",
        "--format=%H%x00%P%x00%cI%x00%s", where, "--", *HEADERS,
    )  # fmt: skip
    rows = [row.split("\0", 3) for row in log.split("\n") if row.count("\0") == 3]
    if not rows:
        raise UsageError(f"no commit up to {revision} touches the save headers")
    for commit, parents, when, subject in rows:
        parent, *others = parents.split(" ")
        if others:
            mine = revisions.blobs(commit)
            if any(revisions.blobs(each) == mine for each in (parent, *others)):
                continue
        commit_of = CommitReview(commit, datetime.fromisoformat(when), subject, None)
        judged = _judged(revisions, setting, commit_of, parent)
        own = _of_itself(revisions, setting, judged, others) if others else judged
        if own is not None:
            yield own


def _of_itself(
    revisions: Revisions, setting: ReviewSetting, entry: CommitReview, others: list[str]
) -> CommitReview | None:
    """The entry of a merge with what it draws against each of its parents; None for nothing."""
    if entry.review is None:
        return entry
    objections = list(entry.review.objections)
    for parent in others:
        review = _judged(revisions, setting, entry, parent).review
        keys = {o.key for o in review.objections} if review else set()
        objections = [o for o in objections if o.key in keys]
    if not objections:
        return None
    return entry._replace(review=entry.review._replace(objections=tuple(objections)))


def _judged(
    revisions: Revisions, setting: ReviewSetting, entry: CommitReview, parent: str
) -> CommitReview:
    """The entry of a commit with what the rules say of it."""
    before, unread = _side(revisions, parent) if parent else (None, "")
    after, unread_after = _side(revisions, entry.commit)
    if after is None:
        return entry._replace(unread=unread_after or "the headers are deleted")
    title = f"{entry.commit[:10]} {entry.subject}"
    review = review_change(before, after, setting, title=title, date=entry.date)
    return entry._replace(review=review, unread=unread, whole=before is None)


def _side(revisions: Revisions, commit: str) -> tuple[Side | None, str]:
    """A state of the headers; None and why where there is none, or none that can be read."""
    if not revisions.blobs(commit):
        return None, ""
    try:
        return revisions.side(commit), ""
    except Malformed as error:
        return None, ": ".join(filter(None, (error.path, error.message)))
