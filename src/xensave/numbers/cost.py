"""What a maximum of the number space costs a hypervisor, in memory and in time.

hvm_sr_handlers has an entry for every number up to HVM_SAVE_CODE_MAX, used or not, and hvm_save
and hvm_save_size each go through all of them at every save (xen/arch/x86/hvm/save.c; the domctl
that saves a context calls both).
"""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue import numbers_of, release
from xensave.catalogue.model import Release
from xensave.catalogue.owned import TYPECODE_MAX
from xensave.errors import UsageError
from xensave.headers.spaces import description_of
from xensave.numbers.space import release_title
from xensave.numbers.spaces import limit_at

# hvm_save_size, then hvm_save.
PASSES = 2


class TableCost(NamedTuple):
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
    today: TableCost
    proposed: TableCost
    sparse: TableCost

    @property
    def bytes_more(self) -> int:
        """What the maximum adds to the table, in bytes."""
        return self.proposed.size - self.today.size

    @property
    def iterations_more(self) -> int:
        """What the maximum adds to each pass of a save."""
        return self.proposed.iterations - self.today.iterations


def cost(release_name: str, maximum: int) -> Cost:
    """Returns what HVM_SAVE_CODE_MAX = maximum costs over what a release has.

    >>> found = cost("4.13", 40)
    >>> found.bytes_more, found.iterations_more, found.sparse.size
    (800, 20, 760)

    Raises UsageError for an unknown release, and for a maximum below a record in use or beyond
    the 16 bits of a typecode.
    """
    series = release(release_name)
    if maximum > TYPECODE_MAX:
        raise UsageError(f"{maximum} is no number of a record: typecodes have 16 bits")
    highest = max(series.bindings, key=lambda binding: binding.typecode)
    if maximum < highest.typecode:
        raise UsageError(
            f"{maximum} is below {highest.typecode}, the number of {highest.name} in {series.name}"
        )
    return Cost(
        release=release_title(release_name),
        code_max=series.code_max,
        maximum=maximum,
        today=TableCost(series.table_entries, series.entry_size),
        proposed=TableCost(maximum + 1, series.entry_size),
        sparse=TableCost(_registered(series), series.entry_size),
    )


class SpaceCost(NamedTuple):
    """What a larger limit of another number space costs, in bytes `per` something.

    `limit` and `proposed` are the values of `macro` today and as proposed; `of` names the array.
    """

    space: str
    release: str
    macro: str
    limit: int
    proposed: int
    entry_size: int
    per: str
    of: str

    @property
    def bytes_more(self) -> int:
        """What the limit adds, in bytes."""
        return (self.proposed - self.limit) * self.entry_size


def space_cost(space: str, release_name: str, proposed: int) -> SpaceCost:
    """Returns what a limit of another number space costs over what a release has.

    >>> space_cost("hvm-param", "4.17", 64).bytes_more
    200

    Raises UsageError for a space that no array holds, and for a limit below a number in use.
    """
    description = description_of(space)
    limit, cost = limit_at(space, release_name), description.cost
    if limit is None or cost is None or description.limit_macro is None:
        raise UsageError(
            f"{space}: no limit sizes an array: a number costs nothing but itself; "
            "there is one in hvm-param and elf-note"
        )
    highest = max(
        (n for n in numbers_of(space, release_name) if description.bounded(n.number)),
        key=lambda n: n.number,
    )
    least = description.value_of(highest.number + 1)
    if proposed < least or proposed > description.most:
        raise UsageError(
            f"{description.limit_macro} is at least {least} for {highest.macro}, "
            f"and at most {description.most}"
        )
    return SpaceCost(
        space=space,
        release=release_title(release_name),
        macro=description.limit_macro,
        limit=description.value_of(limit),
        proposed=proposed,
        entry_size=cost.bytes,
        per=cost.per,
        of=cost.of,
    )


def _registered(series: Release) -> int:
    """How many records have handlers: all but END and HEADER."""
    return sum(1 for binding in series.bindings if binding.handler)
