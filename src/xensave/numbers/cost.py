"""What a maximum of the number space costs a hypervisor, in memory and in time.

hvm_sr_handlers has an entry for every number up to HVM_SAVE_CODE_MAX, used or not, and hvm_save
and hvm_save_size each go through all of them at every save (xen/arch/x86/hvm/save.c; the domctl
that saves a context calls both).
"""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue import release
from xensave.catalogue.model import Release
from xensave.catalogue.owned import TYPECODE_MAX
from xensave.errors import UsageError
from xensave.numbers.space import release_title

# hvm_save_size, then hvm_save.
PASSES = 2


class Table(NamedTuple):
    """A handler table: its entries, their size, and the bytes of all of them.

    Each pass of a save (the one that sizes and the one that saves) visits every entry once.
    """

    entries: int
    entry_size: int

    @property
    def size(self) -> int:
        """The bytes of the table."""
        return self.entries * self.entry_size

    @property
    def iterations(self) -> int:
        """How many entries one pass visits."""
        return self.entries


class Cost(NamedTuple):
    """The tables of a release today, with another maximum, and with entries for records alone.

    A sparse entry holds its number in the padding behind `kind`, so that it is no larger; finding
    one by number takes a search instead of an index.
    """

    release: str
    code_max: int
    maximum: int
    today: Table
    proposed: Table
    sparse: Table

    @property
    def bytes_more(self) -> int:
        """What the maximum adds to the table, in bytes."""
        return self.proposed.size - self.today.size

    @property
    def iterations_more(self) -> int:
        """What the maximum adds to each pass of a save."""
        return self.proposed.iterations - self.today.iterations


def cost(release_name: str, maximum: int) -> Cost:
    """What HVM_SAVE_CODE_MAX = maximum costs over what a release has.

    >>> found = cost("4.13", 40)
    >>> found.bytes_more, found.iterations_more, found.sparse.size
    (800, 20, 760)

    Raises UsageError for an unknown release, and for a maximum below a record in use or beyond
    the 16 bits of a typecode.
    """
    found = release(release_name)
    if maximum > TYPECODE_MAX:
        raise UsageError(f"{maximum} is no number of a record: typecodes have 16 bits")
    highest = max(found.bindings, key=lambda binding: binding.code)
    if maximum < highest.code:
        raise UsageError(
            f"{maximum} is below {highest.code}, the number of {highest.name} in {found.name}"
        )
    return Cost(
        release=release_title(release_name),
        code_max=found.code_max,
        maximum=maximum,
        today=Table(found.table_entries, found.entry_size),
        proposed=Table(maximum + 1, found.entry_size),
        sparse=Table(_registered(found), found.entry_size),
    )


def _registered(found: Release) -> int:
    """How many records have handlers: all but END and HEADER."""
    return sum(1 for binding in found.bindings if binding.handler)
