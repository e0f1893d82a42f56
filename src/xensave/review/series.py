"""A series of patches: what the headers and handlers are before and after each of them.

On a tree they are applied, and whole headers compared. Without one they are put onto the release
that they fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from xensave.catalogue.owned import OwnedRange
from xensave.errors import UsageError
from xensave.findings import Place
from xensave.headers.text.registrations import REGISTER, REGISTER_CALL, loads_in
from xensave.headers.trees.overlay import Overlay
from xensave.headers.trees.tree import Tree
from xensave.review.alone import handlers as known_handlers
from xensave.review.alone.fit import fit
from xensave.review.alone.graft import graft
from xensave.review.alone.grafted import sides
from xensave.review.alone.standin import Sheet
from xensave.review.patches.apply import apply
from xensave.review.patches.mail import Message
from xensave.review.patches.patch import (
    ADDED,
    REMOVED,
    FilePatch,
    PatchLine,
    header_path,
    is_handler_source,
    is_public_header,
)
from xensave.review.spaces import SpacesAlone, on_trees, space_path
from xensave.review.trees.bases import Base, Bases
from xensave.review.trees.sides import read_headers_of, with_handlers
from xensave.rules.numbers.model import Objection, Side

# What the save headers use of the headers that they include.
_DEFINES = re.compile(
    r"#\s*define\s+(XEN_FLEX_ARRAY_DIM)\b|\btypedef\b.*\b(xen_ulong_t|domid_t)\s*;"
)
_INCLUDED = re.compile(r"public/(?:xen|xen-compat|arch-x86/(?:xen|xen-x86_(?:32|64)))\.h$")


class Patch(NamedTuple):
    """A message and what its diff does."""

    message: Message
    files: tuple[FilePatch, ...]

    @property
    def source(self) -> str:
        """Where it was read."""
        return self.message.source

    @property
    def title(self) -> str:
        """Its subject, or where it was read."""
        return self.message.title or self.message.source


class PatchStep(NamedTuple):
    """What one patch does. `sides` are the headers before and after it, None where it leaves them.

    `more` are objections to numbers of other spaces. `files` have the line numbers of the sides;
    `unseen` are those that were not looked at.
    """

    sides: tuple[Side, Side] | None
    more: tuple[Objection, ...]
    base: Base | None
    files: tuple[FilePatch, ...]
    unseen: tuple[str, ...]


class OnTree:
    """A series applied to a tree."""

    def __init__(self, tree: Tree, bases: Bases, claims: tuple[OwnedRange, ...]) -> None:
        self._label = tree.label
        self._tree = tree
        self._bases, self._claims = bases, claims
        self._side: Side | None = None

    def step(self, patch: Patch) -> PatchStep | None:
        """Applies a patch; None where it touches nothing that counts.

        Raises UsageError where it does not apply.
        """
        texts: dict[str, str | None] = {}
        files = []
        for file in patch.files:
            if not _applies(file):
                continue
            path = file.old or file.path
            text = texts[path] if path in texts else self._tree.read(path)
            try:
                changed, placed = apply(file, text)
            except UsageError as error:
                raise UsageError(f"{patch.source}: {error.message} ({self._tree.label})") from error
            files.append(placed)
            if file.old is not None and file.old != file.new:
                texts[file.old] = None
            if file.new is not None:
                texts[file.new] = changed
        if not texts:
            return None
        below = self._tree
        self._tree = Overlay(below, texts, f"{self._label} with {patch.title}")
        more = on_trees(
            below, self._tree, self._bases, self._claims, paths=texts, date=patch.message.date
        )
        sides = self._sides(below, texts)
        before, after = sides
        seen = before.headers.files | after.headers.files | _sources(before) | _sources(after)
        about = bool(seen & set(texts))
        seen |= {path for path in texts if space_path(path)}
        if not seen & set(texts):
            return None
        unseen = tuple(file.path for file in patch.files if not seen & {file.path, file.old})
        return PatchStep(sides if about else None, tuple(more), None, tuple(files), unseen)

    def _sides(self, below: Tree, texts: Mapping[str, str | None]) -> tuple[Side, Side]:
        """The headers and handlers before and after; what no file of it touches is read once."""
        if self._side is None:
            self._side = with_handlers(read_headers_of(below), below)
        before = after = self._side
        if any(is_public_header(path) for path in texts):
            after = read_headers_of(self._tree)
        after = with_handlers(replace(after, handlers=None, loads={}, kinds={}), self._tree)
        self._side = after
        return before, after


def _applies(file: FilePatch) -> bool:
    return any(
        is_public_header(path) or is_handler_source(path) or space_path(path)
        for path in (file.old, file.new)
    )


def _sources(side: Side) -> set[str]:
    handlers = side.handlers.registrations if side.handlers else ()
    return {each.place.file for each in handlers if each.place.file}


class OnRelease:
    """A series put onto the release that it fits, fact by fact."""

    def __init__(
        self,
        series: Sequence[Patch],
        bases: Bases,
        claims: tuple[OwnedRange, ...],
        wanted: str | None,
    ) -> None:
        self._created = {
            file.path
            for patch in series
            for file in patch.files
            if file.old is None and is_public_header(file.path)
        }
        for patch in series:
            _refuse_what_needs_a_tree(patch)
        headers = [self._headers(patch) for patch in series]
        date = next((patch.message.date for patch in series if patch.message.date), None)
        self._numbers = SpacesAlone(bases, claims, base=wanted, date=date)
        try:
            self._base, self._sheet = fit(headers, bases, wanted, date)
        except UsageError as error:
            raise UsageError(f"{series[0].source}: {error.message}") from error
        every = [file for patch in series for file in patch.files]
        self._known = known_handlers.of_release(self._base.release, every)

    def step(self, patch: Patch) -> PatchStep | None:
        """Puts a patch on the release."""
        files = self._headers(patch)
        before = self._known
        self._known = known_handlers.patched(before, patch.files)
        sources = [file for file in patch.files if _tells_of_handlers(file)]
        more = tuple(self._numbers.review(patch.files))
        seen = {file.path for file in (*files, *sources)}
        seen |= {f.path for f in patch.files if space_path(f.path) or space_path(f.old)}
        unseen = tuple(file.path for file in patch.files if file.path not in seen)
        if not files and not sources:
            return PatchStep(None, more, self._base, patch.files, unseen) if seen else None
        sheet: Sheet = graft(self._sheet, files)
        place = _first_change(files or sources)
        first, last = sides(sheet, place)
        self._sheet = sheet
        both = _with_known(first, before), _with_known(last, self._known)
        return PatchStep(both, more, self._base, patch.files, unseen)

    def _headers(self, patch: Patch) -> list[FilePatch]:
        return [f for f in patch.files if header_path(f.path) or f.path in self._created]


def _with_known(side: Side, known: known_handlers.Known) -> Side:
    return replace(
        side, handlers=known.handlers, loads=known.loads, kinds=known.kinds, checked=known.words
    )


def _refuse_what_needs_a_tree(patch: Patch) -> None:
    """Raises for a save header that is renamed, and for one that they include and rely on."""
    for file in patch.files:
        if header_path(file.old) and file.new is not None and file.new != file.old:
            raise UsageError(
                f"{patch.source}: {file.old} is renamed to {file.new}; give the tree that the "
                "patch is for with --tree"
            )
        macro = None if header_path(file.path) or file.old is None else _used(file)
        if macro is not None:
            name, line = macro
            raise UsageError(
                f"{patch.source}: {file.path}:{line.new or line.old}: the save headers use "
                f"{name}; give the tree that the patch is for with --tree"
            )


def _used(file: FilePatch) -> tuple[str, PatchLine] | None:
    """What the save headers use of a public header, where a line of it changes."""
    if not is_public_header(file.path) or not _INCLUDED.search(file.path):
        return None
    lines = [line for hunk in file.hunks for line in hunk.lines]
    stays = {" ".join(line.text.split()) for line in lines if line.kind != REMOVED}
    for line in lines:
        match = _DEFINES.search(line.text)
        if line.kind == REMOVED and match and " ".join(line.text.split()) not in stays:
            return match[1] or match[2], line
    return None


def _tells_of_handlers(file: FilePatch) -> bool:
    """Tells whether the lines of a C file show how a record is registered or loaded."""
    if not is_handler_source(file.path):
        return False
    text = "\n".join(line.text for hunk in file.hunks for line in hunk.lines)
    return REGISTER in text or REGISTER_CALL in text or bool(loads_in(text))


def tells(patch: Patch) -> bool:
    """Tells whether a patch is about the save headers or handlers, as far as its own lines tell."""
    return any(
        any(header_path(path) or space_path(path) for path in (file.path, file.old))
        or _tells_of_handlers(file)
        or _used(file)
        for file in patch.files
    )


def _first_change(files: Iterable[FilePatch]) -> Place:
    for file in files:
        for hunk in file.hunks:
            for line in hunk.lines:
                if line.kind == ADDED:
                    return Place(file=file.path, line=line.new)
    return Place(file=next(iter(files)).path, line=1)
