"""Which commit brought a layout, a reservation: the history of the public headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

from xensave.catalogue import MASTER
from xensave.catalogue.model import Citation, Field, Layout
from xensave.catalogue.owned import OwnedRange
from xensave.errors import XensaveError
from xensave.headers.model import HeaderSpace
from xensave.headers.save import read_tree
from xensave.headers.trees.tree import GitRepository, GitTree
from xensave.source.watch import counted

PATHS = ("xen/include/public/hvm/save.h", "xen/include/public/arch-x86/hvm/save.h")

LayoutKey = tuple[str, int, tuple[Field, ...]]


def layout_key(layout: Layout) -> LayoutKey:
    """Returns what makes two structs one layout: record, size and fields; not the tag."""
    return layout.record, layout.size, layout.fields


def reservation_key(reservation: OwnedRange) -> tuple[int, int, str]:
    """Returns what makes two statements one reservation."""
    return reservation.first, reservation.last, reservation.owner


@dataclass(slots=True)
class History:
    """First sightings, as (commit, subject); `unread` are commits whose headers do not compile.

    `released` names the first release with a commit: not one that it was carried back to.
    """

    layouts: dict[LayoutKey, tuple[str, str]] = field(default_factory=dict)
    reservations: dict[tuple[int, int, str], tuple[str, str]] = field(default_factory=dict)
    unread: list[tuple[str, str]] = field(default_factory=list)
    released: Callable[[str], str] = lambda _: MASTER

    def cite_layout(self, layout: Layout) -> Citation | None:
        """Returns the commit that brought a layout."""
        return self._cited(self.layouts.get(layout_key(layout)))

    def cite_reservation(self, reservation: OwnedRange) -> Citation | None:
        """Returns the commit that stated a reservation."""
        return self._cited(self.reservations.get(reservation_key(reservation)))

    def _cited(self, seen: tuple[str, str] | None) -> Citation | None:
        return Citation(*seen, self.released(seen[0])) if seen else None


def first_release(repository: GitRepository, firsts: dict[str, str], commit: str) -> str:
    """Returns the first series whose first release has a commit; `firsts` are their tags."""
    for name, ref in firsts.items():
        if repository.git("merge-base", commit, ref).startswith(commit):
            return name
    return MASTER


def layouts_in(space: HeaderSpace) -> list[Layout]:
    """Returns every layout that headers bind, compat ones first: they are the older."""
    compat = [record.compat for record in space.records if record.compat]
    return compat + [record.layout for record in space.records if record.layout]


def read_history(
    repository: GitRepository,
    refs: list[str],
    firsts: dict[str, str],
    tell: Callable[[str], None],
) -> History:
    """Reads the headers at each commit that touched them, oldest first.

    `firsts` are the tags of the first release of each series.
    """
    history = History(released=cache(partial(first_release, repository, firsts)))
    log = repository.git(
        "log", "--reverse", "--date-order", "-z", "--format=%H%n%B", *refs, "--", *PATHS
    )
    for entry in counted([*filter(None, log.split("\0"))], "commits"):
        commit, subject, *_ = entry.split("\n", 2)
        try:
            space = read_tree(GitTree(repository, commit))
        except XensaveError as error:
            history.unread.append((commit, str(error)))
            tell(f"unread {commit[:10]}: {error}")
            continue
        seen = (commit[:10], subject)
        for layout in layouts_in(space):
            history.layouts.setdefault(layout_key(layout), seen)
        for reservation in space.reservations:
            history.reservations.setdefault(reservation_key(reservation), seen)
    return history
