"""Versions of a series: what the newer one settled, left and added, and who still stands by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from xensave.review.patches.mail import Message
from xensave.review.patches.trailers import Trailer
from xensave.review.result import Review, VersionProgress, objections_of
from xensave.rules.numbers.model import Objection


def number_versions(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages, each patch with its version, where titles repeat without "vN".

    Of two patches of one title, sender and version the one with the later date is the next
    version: the commit that a mailed patch became, for one. Without dates their order tells.
    Copies of one mail count once; bare diffs have no title, and stand beside each other.
    """
    numbered: list[Message] = []
    latest: dict[tuple[str, str, int], int] = {}
    for message in sorted(_once(messages), key=_by_version_and_date):
        key = (message.title.casefold(), message.sender, message.number)
        version = message.version
        if message.diff and message.title:
            version = max(version, latest.get(key, 0) + 1) if key in latest else version
            latest[key] = version
        numbered.append(message._replace(version=version))
    return numbered


def series_of(messages: Sequence[Message]) -> list[int]:
    """Returns a number for each patch, the same for all versions of one series.

    Patches of one sender, version and total are posted together. Two postings are versions of one
    series where they share a title, or one answers the other. A bare diff goes with every other.
    """
    postings: dict[tuple[str, int, int, str], list[int]] = {}
    for number, message in enumerate(messages):
        alone = message.title if message.total == 1 else ""
        postings.setdefault((message.sender, message.version, message.total, alone), []).append(
            number
        )
    group = {key: key for key in postings}

    def root(key: tuple[str, int, int, str]) -> tuple[str, int, int, str]:
        while group[key] != key:
            key = group[key]
        return key

    names: dict[tuple[str, str], tuple[str, int, int, str]] = {}
    for key, numbers in postings.items():
        for number in numbers:
            message = messages[number]
            known = [("title", f"{message.sender} {message.title.casefold()}")]
            known += [("id", word) for word in (message.message_id, message.in_reply_to) if word]
            known += [("id", word) for word in message.references.split()]
            for name in known:
                group[root(key)] = root(names.setdefault(name, key))
    order = {series: place for place, series in enumerate(dict.fromkeys(root(k) for k in postings))}
    series = [0] * len(messages)
    for key, numbers in postings.items():
        for number in numbers:
            series[number] = order[root(key)]
    return series


def _once(messages: Iterable[Message]) -> Iterator[Message]:
    seen = set()
    for message in messages:
        if not message.message_id or message.message_id not in seen:
            seen.add(message.message_id)
            yield message


def _by_version_and_date(message: Message) -> tuple[int, float]:
    return message.version, message.date.timestamp() if message.date else float("inf")


def trailers_of(message: Message, thread: Iterable[Message]) -> tuple[Trailer, ...]:
    """Returns the trailers of a patch: its own, and those that replies to it gave."""
    by_key = {trailer.key: trailer for trailer in message.trailers}
    wanted = {message.message_id} - {""}
    for reply in thread:
        if not reply.is_reply or not wanted & {reply.in_reply_to, *reply.references.split()}:
            continue
        if reply.message_id:
            wanted.add(reply.message_id)
        for trailer in reply.trailers:
            dated = trailer._replace(version=message.version)
            by_key.setdefault(dated.key, dated)
    return tuple(by_key.values())


def progress_of(reviews: Sequence[Review]) -> tuple[VersionProgress, ...]:
    """Returns each version of a series compared with the one before it."""
    by_version: dict[tuple[int, int], list[Review]] = {}
    for review in reviews:
        if review.message is not None:
            by_version.setdefault((review.series, review.message.version), []).append(review)
    return tuple(
        _progress(older[1], by_version[older], newer[1], by_version[newer])
        for older, newer in pairwise(sorted(by_version))
        if older[0] == newer[0]
    )


def _progress(
    older: int, before: Sequence[Review], newer: int, after: Sequence[Review]
) -> VersionProgress:
    old, new = objections_of(before), objections_of(after)
    had = {trailer.key: trailer for review in before for trailer in review.trailers}
    has = {trailer.key: trailer for review in after for trailer in review.trailers}
    return VersionProgress(
        older,
        newer,
        settled=_without(old, new),
        left=tuple(each for each in new if each.key in {other.key for other in old}),
        added=_without(new, old),
        carried=tuple(had[key] for key in has if key in had),
        gained=tuple(has[key] for key in has if key not in had),
        dropped=tuple(had[key] for key in had if key not in has),
    )


def _without(some: Sequence[Objection], others: Sequence[Objection]) -> tuple[Objection, ...]:
    known = {objection.key for objection in others}
    return tuple(objection for objection in some if objection.key not in known)
