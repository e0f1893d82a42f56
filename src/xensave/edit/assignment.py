"""What shall be changed, as a person writes it: CPU[0].rip=0x1000, HPET.timers[0].config|=8."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from xensave.errors import UsageError

# A path may stand for _PATHS_LIMIT others of its length: a field's has a few dozen characters.
_FORM = re.compile(
    r"(?P<record>[A-Za-z_]\w*|\d+)(?:\[(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?\])?"
    r"\.(?P<path>[^=|&]{1,256}?)\s*(?P<operator>\|=|&=|=)\s*(?P<value>.*)",
    re.DOTALL,
)
_FOLDED = re.compile(r"\[(\d{1,9})-(\d{1,9})\]")
_PATHS_LIMIT = 65_536
# Decimal, 0x, 0o or 0b, in ASCII: int() alone takes digits of every script, and 1_000.
_INTEGER = re.compile(r"[-+~]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+)")

CONFIG = "CONFIG"
ALIASES = {
    "PARAMS": "HVM_PARAMS",
    "TSC": "X86_TSC_INFO",
    "CPUID": "X86_CPUID_POLICY",
    "MSRS": "X86_MSR_POLICY",
}
"""Names that the summary of `show --json` has for records, or that are shorter."""


class Assignment(NamedTuple):
    """One change: of which record, field and with which operator.

    `first` and `last` are the instances, None for every one. `text` is how it was written.
    """

    text: str
    record: str
    first: int | None
    last: int | None
    path: str
    operator: str
    value: str

    def names(self, name: str, typecode: int, instance: int | None) -> bool:
        """Tells whether a record is meant."""
        if self.record not in (name.upper(), str(typecode)):
            return False
        if self.first is None or self.last is None:
            return True
        return instance is not None and self.first <= instance <= self.last

    @property
    def paths(self) -> Iterator[str]:
        """The paths that a folded one stands for, as `show` folds equal elements.

        Raises UsageError for a range of no elements, or of too many.

        >>> list(parse_assignment("IOAPIC.redirtbl[1-3].bits=0x10000").paths)
        ['redirtbl[1].bits', 'redirtbl[2].bits', 'redirtbl[3].bits']
        """
        paths = [self.path]
        while match := _FOLDED.search(paths[0]):
            first, last = int(match[1]), int(match[2])
            if last < first or (last - first + 1) * len(paths) > _PATHS_LIMIT:
                raise UsageError(f"{self.text}: no range of elements: {match[0]}")
            paths = [
                _FOLDED.sub(f"[{index}]", path, count=1)
                for path in paths
                for index in range(first, last + 1)
            ]
        yield from paths


def parse_assignment(text: str) -> Assignment:
    """Reads an assignment. Raises UsageError for what is none.

    >>> parse_assignment("CPU[0].cr4.SMEP=1")[1:]
    ('CPU', 0, 0, 'cr4.SMEP', '=', '1')
    >>> parse_assignment("tsc.nsec=0").record
    'X86_TSC_INFO'
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} changes nothing; write it like CPU[0].rip=0x1000 or HPET.config|=1"
        )
    record = match["record"].upper()
    first = int(match["first"]) if match["first"] else None
    last = int(match["last"]) if match["last"] else first
    return Assignment(
        text,
        ALIASES.get(record, record),
        first,
        last,
        match["path"],
        match["operator"],
        match["value"].strip(),
    )


def integer_of(text: str, bits: int) -> int:
    """Returns an integer as it is written; "~8" is every bit of a field but 8. Raises UsageError.

    >>> integer_of("0x10", 8), integer_of("~8", 8)
    (16, 247)
    """
    try:
        number = int(text.removeprefix("~") if _INTEGER.fullmatch(text) else "", 0)
    except ValueError:
        raise UsageError(f"{text[:40]!r} is no number") from None
    return number ^ (1 << bits) - 1 if text.startswith("~") else number
