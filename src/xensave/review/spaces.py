"""Review the other numbered ABIs: on a tree, or from a patch's own lines and the catalogue.

On a tree both states of a file are read whole. A patch alone is read against a release: the
numbers that the catalogue has of it, less those on removed lines, with those on added ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import Space
from xensave.catalogue.owned import OwnedRange
from xensave.errors import UsageError
from xensave.findings import Place
from xensave.headers.spaces import SpaceDescription, descriptions
from xensave.headers.text.ctext import mark_before, mark_behind
from xensave.headers.text.numbers import SpaceNumber, SpaceText, read_document, read_text
from xensave.headers.trees.numbers import read_file, read_numbers
from xensave.headers.trees.tree import Tree
from xensave.review.patches.patch import ADDED, REMOVED, FilePatch, Hunk
from xensave.review.trees.bases import Bases
from xensave.rules.numbers.model import Objection
from xensave.rules.numbers.reservation import unlike
from xensave.rules.spaces.model import SpaceChange
from xensave.rules.spaces.run import objections

_Read = Callable[[str, str, SpaceDescription], SpaceText]


def space_path(path: str | None) -> bool:
    """Tells whether a file states numbers of a space.

    >>> space_path("xen/include/public/hvm/params.h"), space_path("xen/common/memory.c")
    (True, False)
    """
    return path is not None and any(each.holds(path) for each in descriptions())


def on_trees(
    before: Tree | None,
    after: Tree,
    bases: Bases,
    claims: tuple[OwnedRange, ...] = (),
    *,
    paths: Iterable[str] | None = None,
    date: datetime | None = None,
) -> list[Objection]:
    """Returns what the rules object to between two states of a tree.

    `paths` are the files that differ, None where that is not known. With no state before, the
    later one is looked at as a whole.
    """
    touched = None if paths is None else set(paths)
    raised: list[Objection] = []
    for description in descriptions():
        files = [*description.headers[-1], *description.documents]
        if touched is not None and touched.isdisjoint(files):
            continue
        header, document = (
            tuple(
                None if tree is None else read_numbers(tree, names, description)
                for tree in (before, after)
            )
            for names in (description.headers[-1], description.documents)
        )
        # The release that the tree is nearest to; of a tree ahead of all of them, the last.
        release = _nearest(header[0] or header[1], description, bases.before(date))
        for (old, new), (_, other) in ((header, document), (document, header)):
            if new is not None and old != new:
                change = _change(description, old, new, release)
                raised += objections(replace(change, other=other, claims=claims))
    return raised


def _nearest(text: SpaceText | None, description: SpaceDescription, releases: Sequence[str]) -> str:
    """The release whose numbers are most like a file's; of several alike the last, "" for none."""
    mine = {(n.name, n.number) for n in text.numbers if not n.alias} if text else set()
    space = catalogue.space(description.space)
    limits, versions = dict(space.limits), dict(space.versions)

    def likeness(name: str) -> int:
        unlike = len(mine ^ _names_of(space, name))
        if text is not None:
            unlike += (limits.get(name) != text.limit) + (versions.get(name) != text.version)
        return -unlike

    # The largest, and of several alike the last.
    return max(reversed(releases), key=likeness, default="")


def _names_of(space: Space, release: str) -> set[tuple[str, int | None]]:
    return {(n.name, n.number) for n in catalogue.numbers_of(space.name, release)}


class SpacesAlone:
    """Patches of one series without a tree, each held against what the one before it left."""

    def __init__(
        self,
        bases: Bases,
        claims: tuple[OwnedRange, ...] = (),
        *,
        base: str | None = None,
        date: datetime | None = None,
    ) -> None:
        self._claims = claims
        self._releases = [base] if base else (bases.before(date) or bases.before(None))
        self._states: dict[tuple[str, bool], tuple[str, SpaceText]] = {}

    def review(self, files: Sequence[FilePatch]) -> list[Objection]:
        """Returns what the rules object to in one patch.

        Raises UsageError for lines that do not tell what they mean without the rest of the file.
        """
        changes = [
            self._file(description, file)
            for description in descriptions()
            for file in files
            if description.holds(file.path) or description.holds(file.old or "")
        ]
        # Header and specification are compared as the whole patch leaves them.
        return [
            objection
            for change in changes
            for objection in objections(replace(change, other=self._other(change)))
        ]

    def _other(self, change: SpaceChange) -> SpaceText | None:
        """The specification of a header, or the header of one: the patch's, or a release's."""
        description = change.description
        document = change.after.path in description.documents
        state = self._states.get((description.space, not document))
        if state is not None or not (description.documents and description.same_names):
            return state[1] if state else None
        release = self._states[description.space, document][0]
        path = description.headers[-1][0] if document else description.documents[0]
        numbers = _numbers(description.space, release, Place(file=path))
        return SpaceText(path, numbers) if numbers else None

    def _file(self, description: SpaceDescription, file: FilePatch) -> SpaceChange:
        document = file.path in description.documents
        read: _Read = read_document if document else read_text
        values = {n.macro: n.number for n in catalogue.space(description.space).numbers}
        old = _excerpt(file.hunks, ADDED).read(file.old or file.path, description, read, values)
        new = _excerpt(file.hunks, REMOVED).read(file.path, description, read, values)
        _refuse_unknown(old, new)
        key = (description.space, document)
        if key not in self._states:
            self._states[key] = self._start(description, old)
        release, before = self._states[key]
        before = _with_shown(before, old)
        after = _patched(before, old, new)
        self._states[key] = (release, after)
        return replace(_change(description, before, after, release), claims=self._claims)

    def _start(self, description: SpaceDescription, old: SpaceText) -> tuple[str, SpaceText]:
        """The release whose numbers agree best with the lines that the patch shows; the newest."""
        space = catalogue.space(description.space)
        shown = {(n.name, n.number) for n in old.numbers}
        limits, versions = dict(space.limits), dict(space.versions)

        def agreement(name: str) -> int:
            alike = len(shown & _names_of(space, name))
            alike += old.limit is not None and limits.get(name) == old.limit
            return alike + (old.version is not None and versions.get(name) == old.version)

        release = max(reversed(self._releases), key=agreement)
        return release, SpaceText(
            "",
            _numbers(space.name, release, Place()),
            retired=tuple(SpaceNumber(name, n, name, Place()) for n, name in space.retired),
            limit=limits.get(release),
            version=versions.get(release),
        )


def _numbers(space: str, release: str, place: Place) -> tuple[SpaceNumber, ...]:
    """What a release has of a space, as if it stood at one place."""
    return tuple(
        SpaceNumber(n.name, n.number, n.macro, place) for n in catalogue.numbers_of(space, release)
    )


class _Excerpt(NamedTuple):
    """The lines of one side of a file's hunks, and where each stands in the file."""

    lines: list[str]
    places: list[int]

    def read(
        self, path: str, description: SpaceDescription, read: _Read, values: dict[str, int]
    ) -> SpaceText:
        text = "\n".join(self.lines)
        if read is read_text:
            space_text = read_text(text, path, description, values)
        else:
            space_text = read(text, path, description)

        def moved(place: Place) -> Place:
            return place._replace(line=self.places[(place.line or 1) - 1])

        return space_text._replace(
            numbers=tuple(n._replace(place=moved(n.place)) for n in space_text.numbers),
            retired=tuple(n._replace(place=moved(n.place)) for n in space_text.retired),
            reservations=tuple(r._replace(place=moved(r.place)) for r in space_text.reservations),
            limit_place=moved(space_text.limit_place) if space_text.limit_place else None,
        )


def _excerpt(hunks: Iterable[Hunk], without: str) -> _Excerpt:
    """The lines that a side has. A comment that is open at either end of a hunk is closed."""
    lines: list[str] = []
    places: list[int] = []
    for hunk in hunks:
        side = [line for line in hunk.lines if line.kind != without]
        text = [line.text for line in side]
        lines += [mark_before(text), *text]
        places += [1, *((line.old if without == ADDED else line.new) or 1 for line in side)]
        lines.append(mark_behind(text))
        places.append(1)
    return _Excerpt(lines, places)


def _refuse_unknown(old: SpaceText, new: SpaceText) -> None:
    known = {(n.name, n.value) for n in old.numbers}
    for n in new.numbers:
        if n.number is None and (n.name, n.value) not in known:
            raise UsageError(
                f"{n.place}: {n.macro} is {n.value!r}, which the patch's own lines do not tell; "
                "give --tree"
            )


def _with_shown(before: SpaceText, old: SpaceText) -> SpaceText:
    """The state before, with what the patch shows of it: it may be of a tree ahead of a release."""
    shown = {n.name: n for n in old.numbers}
    numbers = [n for n in before.numbers if n.name not in shown]
    return before._replace(
        path=old.path,
        numbers=(*numbers, *old.numbers),
        retired=tuple(dict.fromkeys((*before.retired, *old.retired))),
        limit=before.limit if old.limit is None else old.limit,
        version=before.version if old.version is None else old.version,
        reservations=tuple(dict.fromkeys((*before.reservations, *old.reservations))),
    )


def _patched(before: SpaceText, old: SpaceText, new: SpaceText) -> SpaceText:
    return before._replace(
        path=new.path,
        numbers=(*_unlike(before.numbers, old.numbers), *new.numbers),
        retired=(*_unlike(before.retired, old.retired), *new.retired),
        limit=before.limit if new.limit is old.limit is None else new.limit,
        limit_place=new.limit_place or old.limit_place,
        version=before.version if new.version is None else new.version,
        reservations=(*unlike(before.reservations, old.reservations), *new.reservations),
    )


def _unlike(numbers: Iterable[SpaceNumber], others: Iterable[SpaceNumber]) -> Iterator[SpaceNumber]:
    known = {(n.name, n.number) for n in others}
    return (n for n in numbers if (n.name, n.number) not in known)


def numbers_differ(before: Tree, after: Tree) -> bool:
    """Tells whether any file that states numbers of a space differs between two trees."""
    return any(
        read_file(before, path) != read_file(after, path)
        for each in descriptions()
        for path in (*each.headers[-1], *each.documents)
    )


def _change(
    description: SpaceDescription,
    before: SpaceText | None,
    after: SpaceText,
    release: str,
) -> SpaceChange:
    space = catalogue.space(description.space)
    past = _past(space, release) if release else {}
    if after.path in description.documents and not description.same_names:
        # The document calls a number otherwise than the header does, and so than the catalogue.
        names = {n.number: n.name for n in (before.numbers if before else ())}
        past = {n: frozenset({names[n]}) for n in past if n in names}
    return SpaceChange(
        description=description,
        before=before,
        after=after,
        space=space,
        past=past,
        released=dict(space.versions).get(release),
    )


def _past(space: Space, release: str) -> dict[int, frozenset[str]]:
    order = catalogue.release_names()
    place = order.index(catalogue.normalise(release))
    past: dict[int, frozenset[str]] = {}
    for n in space.numbers:
        if order.index(n.first) <= place:
            past[n.number] = past.get(n.number, frozenset()) | {n.name}
    return past
