"""What a comparison leaves out: by record, by field, or because it always moves."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from xensave.diff.change import FieldDifference
from xensave.errors import UsageError
from xensave.records.meaning.leaves import without_indices

VOLATILE = "volatile"
MEMORY = "memory"
# What is compared beside the records, by name.
ALWAYS = ("image", "config", "emulator", "xenstore", "qemu", "records", "behind end", MEMORY)


class Selection(NamedTuple):
    """`records` alone are compared if there are any; what `ignore` names is not.

    A name is a record ("CPU", "CPU[1]", "config", "xenstore", "memory"), a field ("CPU.rip",
    "HPET.timers") or "volatile". Without an index it stands for all of them.
    """

    records: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @property
    def memory(self) -> bool:
        """Whether pages are compared."""
        wanted = not self.records or MEMORY in map(str.lower, self.records)
        return wanted and MEMORY not in self.ignore

    def check(self, records: Collection[str]) -> None:
        """Raises UsageError for a name of `records` that is neither theirs nor one of `ALWAYS`.

        >>> Selection(records=("CPU[0].rip", "config")).check({"CPU", "PIC"})
        """
        known = {*map(_bare, records), *ALWAYS}
        for name in self.records:
            if _bare(name) not in known:
                raise UsageError(f"neither holds a record {name}: nothing to compare")

    def takes(self, change: FieldDifference) -> bool:
        """Tells whether a change counts.

        >>> Selection(ignore=("CPU.rip",)).takes(FieldDifference("CPU[0]", "rip", None, None))
        False
        """
        if self.records and not any(_names(name, change) for name in self.records):
            return False
        if change.volatile and VOLATILE in self.ignore:
            return False
        return not any(_names(name, change) for name in self.ignore)


def _bare(name: str) -> str:
    """The name of a record without instance and field, in lower case."""
    return re.split(r"[\[.]", name, maxsplit=1)[0].strip().lower()


def _names(wanted: str, change: FieldDifference) -> bool:
    """Whether a name is that of the change's record or field, or of what these lie in."""
    name = change.name if "[" in wanted else without_indices(change.name)
    wanted, name = wanted.lower(), name.lower()
    return name == wanted or (name.startswith(wanted) and name[len(wanted)] in ".[ ")
