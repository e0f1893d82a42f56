"""Which commit brought a layout, a reservation: the history of the public headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xensave.catalogue.model import Citation, Field, Layout
from xensave.catalogue.owned import OwnedRange
from xensave.errors import XensaveError
from xensave.headers.model import HeaderSpace
from xensave.headers.save import read_tree
from xensave.headers.trees.tree import GitRepository, GitTree

PATHS = ("xen/include/public/hvm/save.h", "xen/include/public/arch-x86/hvm/save.h")

LayoutKey = tuple[str, int, tuple[Field, ...]]


def layout_key(layout: Layout) -> LayoutKey:
    """Return what makes two structs one layout: record, size and fields; not the tag."""
    return layout.record, layout.size, layout.fields


def reservation_key(reservation: OwnedRange) -> tuple[int, int, str]:
    """Return what makes two statements one reservation."""
    return reservation.first, reservation.last, reservation.owner


@dataclass(slots=True)
class History:
    """First sightings, as (commit, subject); `unread` are commits whose headers do not compile."""

    layouts: dict[LayoutKey, tuple[str, str]] = field(default_factory=dict)
    reservations: dict[tuple[int, int, str], tuple[str, str]] = field(default_factory=dict)
    unread: list[tuple[str, str]] = field(default_factory=list)

    def cite_layout(self, layout: Layout, release: str) -> Citation | None:
        """Return the commit that brought a layout, first released in `release`."""
        citation = self.layouts.get(layout_key(layout))
        return Citation(*citation, release) if citation else None

    def cite_reservation(self, reservation: OwnedRange, release: str) -> Citation | None:
        """Return the commit that stated a reservation."""
        seen = self.reservations.get(reservation_key(reservation))
        return Citation(*seen, release) if seen else None


def layouts_in(space: HeaderSpace) -> list[Layout]:
    """Every layout that headers bind, compat ones first: they are the older."""
    compat = [record.compat for record in space.records if record.compat]
    return compat + [record.layout for record in space.records if record.layout]


def read_history(
    repository: GitRepository, refs: list[str], progress: Callable[[str], None]
) -> History:
    """Read the headers at each commit that touched them, oldest first."""
    history = History()
    log = repository.git(
        "log", "--reverse", "--date-order", "-z", "--format=%H%n%B", *refs, "--", *PATHS
    )
    for entry in filter(None, log.split("\0")):
        commit, subject, *_ = entry.split("\n", 2)
        try:
            space = read_tree(GitTree(repository, commit))
        except XensaveError as error:
            history.unread.append((commit, str(error)))
            progress(f"unread {commit[:10]}: {error}")
            continue
        seen = (commit[:10], subject)
        for layout in layouts_in(space):
            history.layouts.setdefault(layout_key(layout), seen)
        for reservation in space.reservations:
            history.reservations.setdefault(reservation_key(reservation), seen)
    return history
