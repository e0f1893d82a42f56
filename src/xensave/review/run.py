"""Review patches, ranges of revisions, and states of the headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from xensave.catalogue.owned import OwnedRange
from xensave.errors import UsageError
from xensave.headers.trees.tree import GitTree, Tree
from xensave.review.config import ReviewConfig, waive
from xensave.review.patches.mail import Message, messages
from xensave.review.patches.patch import ADDED, REMOVED, FilePatch, parse_diff
from xensave.review.patches.versions import (
    number_versions,
    progress_of,
    series_of,
    trailers_of,
)
from xensave.review.result import Review, ReviewResult, Untouched
from xensave.review.series import OnRelease, OnTree, Patch, PatchStep, tells
from xensave.review.trees.bases import Base, Bases
from xensave.rules.numbers.model import Change, Objection, Side
from xensave.rules.numbers.run import objections

HEADERS = "xen/include/public/hvm/save.h, arch-x86/hvm/save.h or another header of numbers"

SteppedSeries: TypeAlias = tuple[int, "list[tuple[Patch, PatchStep | None]]"]
"""The number of a series, and its patches each with what it does; None where it tells nothing."""


class ReviewSetting(NamedTuple):
    """What every review of one run knows: releases, owners' numbers, waivers, a stated base."""

    bases: Bases
    claims: tuple[OwnedRange, ...] = ()
    config: ReviewConfig = ReviewConfig()
    base: str | None = None


def review_change(
    before: Side | None,
    after: Side,
    setting: ReviewSetting,
    *,
    title: str,
    date: datetime | None = None,
    base: Base | None = None,
    more: Sequence[Objection] = (),
) -> Review:
    """Holds one change, or one state, to the rules; `more` are objections to other numbers."""
    base = base or _base(before, after, setting, date)
    drawn = objections(_change(before, after, base, setting))
    return _reviewed([*drawn, *more], base, setting, title)


def _base(
    before: Side | None, after: Side, setting: ReviewSetting, date: datetime | None
) -> Base | None:
    """The release that two sides are held against: the one asked for, or the nearest."""
    if setting.base:
        return setting.bases.named(setting.base)
    side = before or after
    return setting.bases.nearest(side.headers, date, side.version)


def _change(before: Side | None, after: Side, base: Base | None, setting: ReviewSetting) -> Change:
    if base is None:
        return Change(before, after, None, {}, setting.claims)
    return Change(before, after, base.release, base.past, setting.claims, base.saved)


def _reviewed(
    drawn: Iterable[Objection], base: Base | None, setting: ReviewSetting, title: str
) -> Review:
    standing, waived = waive(list(drawn), setting.config)
    why = base.why if base else ""
    return Review(title, tuple(standing), tuple(waived), base.release.name if base else "", why)


def review_patches(
    inputs: Iterable[tuple[str, bytes]], setting: ReviewSetting, tree: Tree | None = None
) -> ReviewResult:
    """Reviews mails, commits and diffs, each input a name and its bytes.

    With a `tree` they are applied to it and whole headers compared; without one, to the release
    that they fit best. Patches of one version are a series: each is held against what the one
    before it left, and what a later one mends says so; so are patches without numbers of which
    one applies only upon the ones before it. Raises UsageError where there is no patch,
    none about the save headers or their handlers, or one that does not apply.
    """
    thread, patches = _read(inputs)
    versions: dict[tuple[int, int], list[Patch]] = {}
    for number, patch in zip(series_of([p.message for p in patches]), patches, strict=True):
        versions.setdefault((number, patch.message.version), []).append(patch)
    stepped, skipped = _stepped(versions, setting, tree)
    reviews: list[Review] = []
    for number, steps in stepped:
        skipped += [patch.title for patch, step in steps if step is None]
        done = [(patch, step) for patch, step in steps if step is not None]
        for (patch, step), review in zip(done, _series(done, setting), strict=True):
            reviews.append(
                review._replace(
                    source=patch.source,
                    message=patch.message,
                    files=step.files,
                    trailers=trailers_of(patch.message, thread),
                    series=number,
                    unseen=step.unseen,
                )
            )
    if not reviews:
        raise _untouched(patches)
    answers = tuple(message.subject for message in thread if message.shown and not message.diff)
    return ReviewResult(tuple(reviews), progress_of(reviews), tuple(skipped), answers)


def _stepped(
    versions: dict[tuple[int, int], list[Patch]], setting: ReviewSetting, tree: Tree | None
) -> tuple[list[SteppedSeries], list[str]]:
    """Returns the steps of each version of a series, and the titles of what tells nothing."""
    stepped: list[SteppedSeries] = []
    skipped: list[str] = []
    for (number, _), series in sorted(versions.items(), key=lambda item: item[0]):
        series.sort(key=lambda patch: patch.message.number)
        if tree is None and not any(tells(patch) for patch in series):
            skipped += [patch.title for patch in series]
            continue
        try:
            stepped.append((number, _steps(series, setting, tree)))
        except UsageError:
            later_version = bool(stepped) and stepped[-1][0] == number
            if later_version or not _upon_the_last(series, stepped, setting, tree):
                raise
    return stepped, skipped


def _untouched(patches: Iterable[Patch]) -> Untouched:
    touched = sorted({file.path for patch in patches for file in patch.files})
    shown = ", ".join(touched[:3]) + (", ..." if len(touched) > 3 else "")
    return Untouched(f"nothing to review: the patch touches {shown or 'no file'}, not {HEADERS}")


def _steps(
    series: Sequence[Patch], setting: ReviewSetting, tree: Tree | None
) -> list[tuple[Patch, PatchStep | None]]:
    """What each patch of a series does. Raises UsageError where one does not apply."""
    known = (setting.bases, setting.claims)
    stepper: OnRelease | OnTree = (
        OnRelease(series, *known, setting.base)
        if tree is None
        else OnTree(_below(series[0].message, tree), *known)
    )
    return [(patch, stepper.step(patch)) for patch in series]


def _upon_the_last(
    series: Sequence[Patch],
    stepped: list[SteppedSeries],
    setting: ReviewSetting,
    tree: Tree | None,
) -> bool:
    """Puts patches upon the ones before them, as `git am` does, where they do not apply alone.

    Only patches that no posting numbers may belong together so; they are a series then.
    """
    if not stepped:
        return False
    number, earlier = stepped[-1]
    together = [*(patch for patch, _ in earlier), *series]
    if any(patch.message.total != 1 for patch in together):
        return False
    try:
        stepped[-1] = (number, _steps(together, setting, tree))
    except UsageError:
        return False
    return True


def _below(message: Message, tree: Tree) -> Tree:
    """The tree that a patch is put onto: of a merge the parent that it is shown against."""
    if not message.parent or not isinstance(tree, GitTree):
        return tree
    return GitTree(tree.repository, message.parent)


def _series(done: Sequence[tuple[Patch, PatchStep]], setting: ReviewSetting) -> list[Review]:
    """The reviews of a series: what only mends an earlier patch of it draws nothing."""
    first = next((step for _, step in done if step.sides), None)
    start, base = (first.sides[0], first.base) if first and first.sides else (None, None)
    drawn: list[list[Objection]] = []
    whole: list[set[tuple[str, str]]] = []
    for patch, step in done:
        if step.sides is None:
            drawn.append([])
            whole.append(whole[-1] if whole else set())
            continue
        before, after = step.sides
        base = base or _base(before, after, setting, patch.message.date)
        drawn.append(objections(_change(before, after, base, setting)))
        of_all = drawn[-1]
        if step is not first:
            of_all = objections(_change(start, after, base, setting))
        whole.append({objection.key for objection in of_all})
    reviews = []
    for at, (patch, step) in enumerate(done):
        standing = [
            objection._replace(settled=_settled_by(objection.key, at, whole, done))
            for objection in drawn[at]
            if objection.key in whole[at]
        ]
        against = base if step.sides else None
        reviews.append(_reviewed([*standing, *step.more], against, setting, patch.title))
    return reviews


def _settled_by(
    key: tuple[str, str],
    at: int,
    whole: Sequence[set[tuple[str, str]]],
    done: Sequence[tuple[Patch, PatchStep]],
) -> str:
    """The later patch after which the series as a whole no longer draws an objection."""
    if key in whole[-1]:
        return ""
    later = next(n for n in range(len(whole) - 1, at - 1, -1) if key in whole[n]) + 1
    message = done[later][0].message
    if message.total == 1:
        return message.title
    return f"{message.number}/{message.total}: {message.title}"


def _read(inputs: Iterable[tuple[str, bytes]]) -> tuple[list[Message], list[Patch]]:
    """The whole thread, and its patches."""
    named = list(inputs)
    thread = number_versions([m for name, data in named for m in messages(data, name)])
    if not any(message.diff for message in thread):
        # What was passed on, or an answer with a patch of its own.
        thread = [message.as_patch() if message.shown else message for message in thread]
    if not any(message.diff for message in thread):
        raise UsageError(f"{', '.join(name for name, _ in named)}: no patch in it")
    return thread, [Patch(each, tuple(_parsed(each))) for each in thread if each.diff]


def _parsed(message: Message) -> list[FilePatch]:
    try:
        files = parse_diff(message.diff)
    except UsageError as error:
        raise UsageError(f"{message.source}: {error.message}") from error
    lines = [line.kind for file in files for hunk in file.hunks for line in hunk.lines]
    shown = lines.count(ADDED), lines.count(REMOVED)
    numbers = message.diffstat
    if numbers is not None and (shown[0] < numbers[0] or shown[1] < numbers[1]):
        raise UsageError(
            f"{message.source}: the patch is cut: its diffstat tells of {numbers[0]} lines added "
            f"and {numbers[1]} removed, and it shows {shown[0]} and {shown[1]}"
        )
    return files
