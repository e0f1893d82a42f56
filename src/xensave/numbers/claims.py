"""What one source claims of the number space: records, and ranges kept for an owner."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.model import Layout, RecordKind
from xensave.catalogue.owned import SAVE_RECORD, OwnedRange

XEN = "Xen"
# Upstream gives its numbers from 0 up; with an upper byte a number is a downstream's (review of
# "x86/save: reserve HVM save record numbers that have been consumed...", December 2019).
UPSTREAM_LAST = 0xFF


class ClaimedRecord(NamedTuple):
    """A number in use. `name` and `size` are None where the source does not say.

    `owner` is XEN for a record of upstream's, a registry's owner, or "" for a tree's own. `size` is
    that of one record of a fixed length; `place` is where it is said ("save.h:609").
    """

    number: int
    name: str | None
    size: int | None
    owner: str
    layout: Layout | None = None
    kind: RecordKind | None = None
    place: str = ""

    @property
    def title(self) -> str:
        """Its name, or that it has none."""
        return self.name or "an unnamed record"


class Claims(NamedTuple):
    """All that a source claims of a number space. `upstream`: it is a release of Xen itself."""

    source: str
    records: tuple[ClaimedRecord, ...]
    ranges: tuple[OwnedRange, ...]
    upstream: bool = False
    code_max: int | None = None
    space: str = SAVE_RECORD
