"""One run of a review, from what a caller asks for to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from xensave.errors import UsageError
from xensave.headers.trees.staged import StagedTree
from xensave.headers.trees.tree import DirectoryTree, GitTree, Tree
from xensave.review.claims import claims
from xensave.review.config import ReviewConfig, find_config, read_config
from xensave.review.handlers import handlers_differ
from xensave.review.history import CommitReview, history
from xensave.review.result import Review, ReviewResult, Untouched
from xensave.review.run import ReviewSetting, review_change, review_patches
from xensave.review.spaces import numbers_differ, on_trees
from xensave.review.trees.bases import Bases
from xensave.review.trees.revisions import HEADERS, Revisions, is_repository, top_of
from xensave.review.trees.sides import read_side


class Request(NamedTuple):
    """What to review and against what; the fields are the command line's options."""

    inputs: tuple[str, ...] = ()
    tree: str | None = None
    at: str | None = None
    staged: bool = False
    base: str | None = None
    used: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    config: str | None = None


def review(request: Request, read: Callable[[str], bytes]) -> ReviewResult:
    """Reviews what is asked for; `read` gives the bytes of an input.

    Patches; with a tree also a range of revisions, what is staged, or the tree as it stands; or
    two directories of headers. Raises UsageError where there is nothing to review.
    """
    setting = setting_of(request)
    if request.staged and request.inputs:
        raise UsageError("--staged looks at the index: it takes no input")
    tree = request.tree or ("." if request.staged else None)
    if tree is not None:
        return _in_tree(request, top_of(tree) if request.staged else tree, setting, read)
    if len(request.inputs) == 2 and all(Path(name).is_dir() for name in request.inputs):
        previous, current = (DirectoryTree(name) for name in request.inputs)
        return ReviewResult((_compare(previous, current, setting, " -> ".join(request.inputs)),))
    if not request.inputs:
        raise UsageError("nothing to review: give a patch (- is stdin), or --tree")
    return review_patches([(name, read(name)) for name in request.inputs], setting)


def review_history(request: Request, revision: str) -> Iterator[CommitReview]:
    """Yields the rules over every commit that touched the headers of a repository.

    Raises UsageError without a repository.
    """
    if request.tree is None or not is_repository(request.tree):
        raise UsageError("--history needs a repository: give --tree")
    with Revisions(request.tree) as revisions:
        yield from history(revisions, revision, setting_of(request))


def setting_of(request: Request) -> ReviewSetting:
    """Returns the registries, waivers and base that a request names."""
    config = _config(request)
    return ReviewSetting(
        Bases(),
        claims((*config.registries, *request.registries), (*config.used, *request.used)),
        config,
        request.base,
    )


def _config(request: Request) -> ReviewConfig:
    if request.config is not None:
        return read_config(request.config)
    return find_config(request.tree or ".")


def _in_tree(
    request: Request, folder: str, setting: ReviewSetting, read: Callable[[str], bytes]
) -> ReviewResult:
    if not is_repository(folder):
        if request.staged:
            raise UsageError(f"{folder}: not a repository, so nothing is staged")
        return _with_tree(request, DirectoryTree(folder), setting, read)
    with Revisions(folder) as revisions:
        if request.staged:
            if not revisions.has_files:
                raise UsageError(f"{folder}: a bare repository, so nothing is staged")
            return _staged(revisions, setting)
        ranges = [name for name in request.inputs if ".." in name and not Path(name).exists()]
        if not ranges:
            _no_revisions(request, revisions)
            return _with_tree(request, _state(request, revisions), setting, read)
        if len(request.inputs) > 1:
            raise UsageError("give one range of revisions, or patches, not both")
        return _range(revisions, ranges[0], setting)


def _no_revisions(request: Request, revisions: Revisions) -> None:
    """Raises UsageError for a revision where a patch is due."""
    for name in request.inputs:
        if name == "-" or Path(name).exists():
            continue
        try:
            revisions.tree(name)
        except UsageError:
            continue
        raise UsageError(f"{name}: a revision; give a range, {name}~..{name}, or --at {name}")


def _state(request: Request, revisions: Revisions) -> Tree:
    """What is looked at, or patched: a revision, or without either the files as they stand."""
    if request.at is None and not request.inputs and revisions.has_files:
        return DirectoryTree(revisions.repository.path)
    return revisions.tree(request.at or "HEAD")


def _with_tree(
    request: Request, tree: Tree, setting: ReviewSetting, read: Callable[[str], bytes]
) -> ReviewResult:
    """Patches on a tree, or the tree as it stands."""
    if request.inputs:
        inputs = [(name, read(name)) for name in request.inputs]
        return review_patches(inputs, setting, tree)
    return ReviewResult((_compare(None, tree, setting, tree.label),))


def _compare(before: Tree | None, after: Tree, setting: ReviewSetting, title: str) -> Review:
    """One tree against another, in the save records and in all other numbers."""
    more = on_trees(before, after, setting.bases, setting.claims)
    sides = None if before is None else read_side(before), read_side(after)
    return review_change(*sides, setting, title=title, more=more)


def _range(revisions: Revisions, wanted: str, setting: ReviewSetting) -> ReviewResult:
    first, last = revisions.ends(wanted)
    before, after, date = revisions.tree(first), revisions.tree(last), revisions.date(last)
    done = review_change(
        revisions.side(first), revisions.side(last), setting, title=wanted, date=date,
        more=on_trees(before, after, setting.bases, setting.claims, date=date),
    )  # fmt: skip
    same = revisions.blobs(first) == revisions.blobs(last) and not _differ(before, after)
    return _compared(done, same=same)


def _staged(revisions: Revisions, setting: ReviewSetting) -> ReviewResult:
    tree, title = StagedTree(revisions.repository), "what is staged"
    try:
        head = revisions.tree("HEAD")
    except UsageError:
        return ReviewResult((review_change(None, read_side(tree), setting, title=title),))
    done = _compare(head, tree, setting, title)
    same = _texts(head) == _texts(tree) and not _differ(head, tree)
    return _compared(done, same=same)


def _differ(before: Tree, after: Tree) -> bool:
    return numbers_differ(before, after) or handlers_differ(before, after)


def _compared(done: Review, *, same: bool) -> ReviewResult:
    """Headers and handlers that are as they were are nothing to review."""
    if same and not done.objections and not done.waived:
        raise Untouched(f"nothing to review: {done.title} leaves the save headers as they are")
    return ReviewResult((done,))


def _texts(tree: GitTree | StagedTree) -> list[str | None]:
    return [tree.read(path) for path in HEADERS]
