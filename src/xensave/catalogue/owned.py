"""Numbers that are kept for an owner: by a comment in a header, a registry, or who asks.

One type serves them all. Its readers differ: `headers.text.comments` reads comments,
`catalogue.registry` registries, `ranges` what a person types.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from xensave.errors import UsageError
from xensave.findings import Place

# The number space of HVM save records, beside those that catalogue.space_names() lists.
SAVE_RECORD = "save-record"
# A typecode has 16 bits in hvm_save_descriptor (xen/include/public/hvm/save.h, since 3.1).
TYPECODE_MAX = 0xFFFF
COMMENT = "comment"

RecordKind: TypeAlias = Literal["domain", "vcpu"]
"""Whether a record is saved for each domain or each vCPU."""

_NUMBER = r"0[xX][0-9a-fA-F]+|[0-9]+"
_RANGE = rf"\s*({_NUMBER})\s*(?:(?:-|\.\.)\s*({_NUMBER})\s*)?"


class Citation(NamedTuple):
    """A commit of Xen's history: abbreviated hash, subject line, first release that has it."""

    commit: str
    subject: str
    release: str


class UsedNumber(NamedTuple):
    """A number that its owner has deployed, and what is known of the record."""

    number: int
    name: str | None = None
    size: int | None = None
    kind: RecordKind | None = None
    since: str | None = None
    citation: str | None = None


class OwnedRange(NamedTuple):
    """Numbers `first` to `last` of a space, both included, that are kept for `owner`.

    An `owner` of "" stands for whoever asks. `source` says who keeps them: COMMENT, a registry, an
    option. `used` are the deployed ones in order, () where the source does not say. `place` and
    `text` are those of a comment; `citation` is the commit that brought it, or what a registry
    cites.

    >>> str(OwnedRange(22, 34, "Amazon")), str(OwnedRange(40, 40, "Acme"))
    ('22 - 34', '40')
    """

    first: int
    last: int
    owner: str
    source: str = COMMENT
    citation: Citation | str | None = None
    used: tuple[UsedNumber, ...] = ()
    since: str | None = None
    space: str = SAVE_RECORD
    place: Place = Place()
    text: str = ""

    def __str__(self) -> str:
        return span(self.first, self.last)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last

    @property
    def owner_key(self) -> str:
        """The owner's name as it is compared: case and surrounding space do not matter."""
        return self.owner.strip().casefold()

    def use_of(self, number: int) -> UsedNumber | None:
        """Returns what is known of a number's use, None where it is not known to be used."""
        at = bisect_left(self.used, number, key=lambda used: used.number)
        used_number = self.used[at] if at < len(self.used) else None
        return used_number if used_number is not None and used_number.number == number else None


class Ranges:
    """Ranges of one source, to be asked which of them touch others.

    >>> ranges = Ranges([OwnedRange(22, 34, "Amazon"), OwnedRange(64, 64, "Acme")])
    >>> [str(touched) for touched in ranges.touching(30, 70)]
    ['22 - 34', '64']
    """

    def __init__(self, ranges: Iterable[OwnedRange]) -> None:
        self._ranges = sorted(ranges, key=lambda owned: (owned.first, owned.last, owned.owner))
        # The furthest end so far: no range before the first that reaches a number touches it.
        self._ends = list(accumulate((owned.last for owned in self._ranges), max))

    def touching(self, first: int, last: int) -> Iterator[OwnedRange]:
        """Yields the ranges that share a number with first - last, in order."""
        for at in range(bisect_left(self._ends, first), len(self._ranges)):
            owned = self._ranges[at]
            if owned.first > last:
                return
            if owned.last >= first:
                yield owned


def same_owner(owner: str, other: str) -> bool:
    """Tells whether two names stand for one owner: case and surrounding space do not matter.

    >>> same_owner("Amazon", "amazon "), same_owner("Amazon", "Citrix")
    (True, False)
    """
    return owner.strip().casefold() == other.strip().casefold()


def span(first: int, last: int) -> str:
    """Writes a range as people do: "22 - 34", "40"."""
    return f"{first}" if first == last else f"{first} - {last}"


def spans(numbers: Iterable[int]) -> str:
    """Writes numbers as ranges, in order.

    >>> spans([35, 37, 36, 40])
    '35 - 37, 40'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(span(first, last) for first, last in runs)


def ranges(text: str, most: int = TYPECODE_MAX) -> list[tuple[int, int]]:
    """Reads ranges of numbers from 0 to `most`, as a person types them.

    >>> ranges("22-24, 0x4100"), ranges("35..40")
    ([(22, 24), (16640, 16640)], [(35, 40)])

    Raises UsageError for what is none.
    """
    pairs = []
    for part in text.split(","):
        match = re.fullmatch(_RANGE, part)
        if match is None:
            raise UsageError(f"not a range of numbers: {part.strip()!r}; write 22-34")
        first = _value(match[1])
        last = _value(match[2] or match[1])
        if not first <= last <= most:
            raise UsageError(f"not a range within 0 - {most}: {part.strip()!r}")
        pairs.append((first, last))
    return pairs


def _value(number: str) -> int:
    # Twelve digits are more than any number space has: of more only that it is too large counts.
    digits, base = (number[2:], 16) if number[:2].lower() == "0x" else (number, 10)
    return int(digits.lstrip("0")[:12] or "0", base)
