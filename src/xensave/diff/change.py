"""One difference: a field by name with both values, or a record that only one side has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from xensave.diff.volatile import reason
from xensave.records.meaning.bits import bit_names
from xensave.records.meaning.leaves import Leaf


class FieldDifference(NamedTuple):
    """A field that differs; `old` or `new` is None where that side does not have it.

    `record` is "CPU[0]", "config", "QEMU timer[0]"; `path` is the field in it, "" for the record
    as a whole. `volatile` says why the field differs between any two moments, "" where it need
    not.
    """

    record: str
    path: str
    old: Leaf | None
    new: Leaf | None
    volatile: str = ""

    @property
    def name(self) -> str:
        """Record and path, as `--ignore` takes them."""
        return f"{self.record}.{self.path}" if self.path else self.record

    @property
    def bits(self) -> tuple[str, ...]:
        """The bits of a register that were set ("+IF") and cleared ("-IF")."""
        old, new = self.old, self.new
        if old is None or new is None or new.register is None:
            return ()
        if not isinstance(old.value, int) or not isinstance(new.value, int):
            return ()
        before = bit_names(old.value, new.register)
        after = bit_names(new.value, new.register)
        gained = [f"+{name}" for name in after if name not in before]
        return (*gained, *(f"-{name}" for name in before if name not in after))


T = TypeVar("T")


def paired(old: Mapping[str, T], new: Mapping[str, T]) -> Iterator[tuple[str, T | None, T | None]]:
    """Yields what two sides have by name, in the order of the old, then the new; None for not."""
    for name in dict.fromkeys([*old, *new]):
        yield name, old.get(name), new.get(name)


def changes_of(
    record: str, old: dict[str, Leaf], new: dict[str, Leaf]
) -> Iterator[FieldDifference]:
    """Yields what differs between two sets of leaves; paths in the order of the old, then new."""
    for path, before, after in paired(old, new):
        if before is None or after is None or before.value != after.value:
            yield FieldDifference(record, path, before, after, reason(record, path))
