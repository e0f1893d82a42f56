"""Review patches, ranges of revisions, and states of the headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from xensave.catalogue.model import ZEROEXTEND
from xensave.catalogue.owned import OwnedRange
from xensave.errors import UsageError
from xensave.findings import Place
from xensave.headers.trees.overlay import Overlay
from xensave.headers.trees.tree import Tree
from xensave.review.alone.fit import fit
from xensave.review.alone.graft import Row, graft, rows_of
from xensave.review.alone.grafted import sides
from xensave.review.config import Config, waive
from xensave.review.patches.apply import apply
from xensave.review.patches.mail import Message, messages
from xensave.review.patches.patch import ADDED, FilePatch, header_path, parse_diff
from xensave.review.patches.versions import number_versions, progress_of, trailers_of
from xensave.review.result import Result, Review, Untouched
from xensave.review.spaces import SpacesAlone, on_trees, space_path
from xensave.review.trees.bases import Base, Bases
from xensave.review.trees.sides import read_side
from xensave.rules.numbers.model import Change, Objection, Side
from xensave.rules.numbers.run import objections

HEADERS = "xen/include/public/hvm/save.h, arch-x86/hvm/save.h or another header of numbers"
_ZERO = re.compile(r"\bhvm_load_entry_zeroextend\s*\(\s*([A-Z]\w*)\s*,")
_OURS = ("xen/arch/x86/", "xen/common/", "xen/include/public/")


class Setting(NamedTuple):
    """What every review of one run knows: releases, owners' numbers, waivers, a stated base."""

    bases: Bases
    claims: tuple[OwnedRange, ...] = ()
    config: Config = Config()
    base: str | None = None


class _Patch(NamedTuple):
    message: Message
    files: tuple[FilePatch, ...]

    @property
    def source(self) -> str:
        return self.message.source

    @property
    def title(self) -> str:
        return self.message.title or self.message.source


def review_change(
    before: Side | None,
    after: Side,
    setting: Setting,
    *,
    title: str,
    date: datetime | None = None,
    base: Base | None = None,
    more: Sequence[Objection] = (),
) -> Review:
    """Hold one change, or one state, to the rules; `more` are objections to other numbers."""
    if base is None:
        headers = (before or after).headers
        base = setting.bases.named(setting.base) if setting.base else setting.bases.nearest(
            headers, date
        )  # fmt: skip
    change = Change(
        before,
        after,
        base.release if base else None,
        base.past if base else {},
        setting.claims,
        base.saved if base else {},
    )
    standing, waived = waive([*objections(change), *more], setting.config)
    name = base.release.name if base else ""
    return Review(title, tuple(standing), tuple(waived), name, base.why if base else "")


def review_patches(
    inputs: Iterable[tuple[str, bytes]], setting: Setting, tree: Tree | None = None
) -> Result:
    """Review mails, commits and diffs, each input a name and its bytes.

    With a `tree` they are applied to it and whole headers compared; without one, to the release
    that they fit best. Patches of one version are a series: each is held against what the one
    before it left. Raises UsageError where there is no patch, none about the save headers, or
    one that does not apply.
    """
    thread, patches, skipped = _read(inputs)
    by_version: dict[int, list[_Patch]] = {}
    for patch in patches:
        by_version.setdefault(patch.message.version, []).append(patch)
    reviews = []
    for version in sorted(by_version):
        series = sorted(by_version[version], key=lambda patch: patch.message.number)
        step = _in_tree(tree, setting) if tree is not None else _on_release(series, setting)
        for patch in series:
            done = step(patch)
            if done is not None and any(_is_about(file) for file in patch.files):
                given = trailers_of(patch.message, thread)
                reviews.append(
                    replace(
                        done,
                        source=patch.source,
                        message=patch.message,
                        files=patch.files,
                        trailers=given,
                    )
                )
    return Result(tuple(reviews), progress_of(reviews), tuple(skipped))


def _read(
    inputs: Iterable[tuple[str, bytes]],
) -> tuple[list[Message], list[_Patch], list[str]]:
    """The whole thread, its patches, and the titles of those that touch no save header."""
    named = list(inputs)
    thread = number_versions([m for name, data in named for m in messages(data, name)])
    if not any(message.diff for message in thread):
        raise UsageError(f"{', '.join(name for name, _ in named)}: no patch in it")
    patches = [_Patch(message, tuple(_parsed(message))) for message in thread if message.diff]
    about = [any(_is_about(file) for file in patch.files) for patch in patches]
    if not any(about):
        touched = sorted({file.path for patch in patches for file in patch.files})
        shown = ", ".join(touched[:3]) + (", ..." if len(touched) > 3 else "")
        raise Untouched(f"nothing to review: the patch touches {shown or 'no file'}, not {HEADERS}")
    return thread, patches, [p.title for p, ours in zip(patches, about, strict=True) if not ours]


def _is_about(file: FilePatch) -> bool:
    """Does a file state record numbers, or those of another space?"""
    return any(header_path(path) or space_path(path) for path in (file.path, file.old))


def _spaces_alone(patch: _Patch, more: Sequence[Objection], setting: Setting) -> Review | None:
    """The review of a patch that leaves the save headers alone; None where it has no numbers."""
    if not any(space_path(path) for file in patch.files for path in (file.path, file.old)):
        return None
    standing, waived = waive(list(more), setting.config)
    return Review(patch.title, tuple(standing), tuple(waived))


def _parsed(message: Message) -> list[FilePatch]:
    try:
        return parse_diff(message.diff)
    except UsageError as error:
        raise UsageError(f"{message.source}: {error.message}") from error


def _in_tree(tree: Tree, setting: Setting) -> Callable[[_Patch], Review | None]:
    """Apply patch after patch to a tree."""
    state = tree

    def step(patch: _Patch) -> Review | None:
        nonlocal state
        files: dict[str, str | None] = {}
        for file in patch.files:
            if not file.path.startswith(_OURS) and not _is_about(file):
                continue
            text = files[file.old] if file.old in files else state.read(file.old or file.path)
            try:
                changed = apply(file, text)
            except UsageError as error:
                raise UsageError(f"{patch.source}: {error.message} ({state.label})") from error
            if file.old is not None and file.old != file.new:
                files[file.old] = None
            if file.new is not None:
                files[file.new] = changed
        before, state = state, Overlay(state, files, f"{tree.label} with {patch.title}")
        date = patch.message.date
        more = on_trees(before, state, setting.bases, setting.claims, paths=files, date=date)
        if all(space_path(path) for path in files):
            return _spaces_alone(patch, more, setting)
        return review_change(
            read_side(before), read_side(state), setting,
            title=patch.title, date=date, more=more,
        )  # fmt: skip

    return step


def _on_release(series: Sequence[_Patch], setting: Setting) -> Callable[[_Patch], Review | None]:
    """Graft patch after patch onto the release that the series fits."""
    files = [[file for file in patch.files if header_path(file.path)] for patch in series]
    date = next((patch.message.date for patch in series if patch.message.date), None)
    numbered = SpacesAlone(setting.bases, setting.claims, base=setting.base, date=date)
    if not any(files):
        return lambda patch: _spaces_alone(patch, numbered.review(patch.files), setting)
    try:
        base, lines = fit(files, setting.bases, setting.base, date)
    except UsageError as error:
        raise UsageError(f"{series[0].source}: {error.message}") from error
    rows: list[Row] = rows_of(lines)
    loads = {binding.name: binding.load for binding in base.release.bindings}

    def step(patch: _Patch) -> Review | None:
        nonlocal rows
        ours = [file for file in patch.files if header_path(file.path)]
        loads.update(_zeroextends(patch.files))
        more = numbered.review(patch.files)
        if not ours:
            return _spaces_alone(patch, more, setting)
        rows = graft(rows, ours)
        before, after = sides(rows, base.release.name, _first_change(ours))
        return review_change(
            before,
            replace(after, loads=dict(loads)),
            setting,
            title=patch.title,
            base=base,
            more=more,
        )

    return step


def _zeroextends(files: Iterable[FilePatch]) -> Mapping[str, str]:
    """The records that a patch begins to load zero-extended, in whatever file."""
    added = "\n".join(
        line.text for file in files for hunk in file.hunks for line in hunk.lines
        if line.kind == ADDED
    )  # fmt: skip
    return dict.fromkeys(_ZERO.findall(added), ZEROEXTEND)


def _first_change(files: Iterable[FilePatch]) -> Place:
    for file in files:
        for hunk in file.hunks:
            for line in hunk.lines:
                if line.kind == ADDED:
                    return Place(file=file.path, line=line.new)
    return Place(file=next(iter(files)).path, line=1)
