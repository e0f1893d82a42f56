"""Reservations that headers state in comments, and which no compiler sees.

People word them freely: "Range 22 - 34 (inclusive) reserved for Amazon", "Numbers 22 to 34 are
kept for Amazon", "codes 21, 35 and 37 belong to Acme", "40 and up are for Acme", "Reserved for
Acme: 0x4100 - 0x4103". Lists, open ends and line breaks are read as they are meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from xensave.catalogue.owned import TYPECODE_MAX, OwnedRange
from xensave.errors import LimitExceeded
from xensave.findings import Place
from xensave.headers.text.ctext import comments

# What repeats is bounded, so that no text of numbers or names takes more than linear time.
_LINES = re.compile(r"(?:[ \t]*//[^\n]*\n)*[ \t]*//[^\n]*")
_STAR = re.compile(r"(?m)^[ \t]*(?:\*(?!/)|//)")

_NUMBER = r"(?:0x[0-9a-f]{1,8}|\d{1,9})\b"
_UP = (
    r"(?:and|or)\s+(?:up(?:wards?)?|above|higher|beyond|later|greater|more)"
    r"|on(?:wards?)?|up(?:wards?)?"
)
_TO = r"\s*(?:-|–|\.\.\.?|to|through|thru|up\s+to)\s*"
_FROM = r"(?:from|(?:starting|beginning)\s+(?:at|from|with)|>=)\s*"
_ITEM = rf"(?:{_FROM})?{_NUMBER}(?:{_TO}{_NUMBER}|\s+(?:{_UP})\b|\s*\+)?"
_LIST = rf"{_ITEM}(?:\s*,\s*(?:and\s+|or\s+)?{_ITEM}|\s+(?:and|or|&)\s+{_ITEM}){{0,40}}"
_KIND = r"(?:(?:record|save|hvm|type|number|param(?:eter)?)s?[\s-]+){0,3}"
_NOUN = (
    rf"\b{_KIND}(?:ranges?|numbers?|(?:type-?)?codes?|ids?|ind(?:ex|exes|ices)|records?|types?"
    r"|param(?:eter)?s?|op(?:eration)?s?|spaces?|hypercalls?|domctls?|sysctls?|features?|notes?)"
)
_TAIL = r"(?:\s*\((?:inclusive|both\s+included)\)|\s+inclusive)?,?"
_IS = r"(?:\s+(?:is|are|was|were|has\s+been|have\s+been|shall\s+be))?"
_WORD = (
    r"reserved|kept|held|set\s+aside|earmarked|allocated|assigned|claimed|taken|given|used|in\s+use"
)
_REST = r"[\w.-]{0,60}+"
_OWNER = rf"(?:the\s+)?(?P<owner>(?-i:[A-Z]{_REST}(?:\s+[A-Z]{_REST}){{0,4}}))"
# What the word "reserved" keeps may be written small; of the others a name begins with a capital.
_NAMED = rf"(?:the\s+)?(?P<owner>(?-i:[A-Za-z]{_REST}(?:\s+[A-Z]{_REST}){{0,4}}))"
_FOR = r"\s+(?:for|by|to)(?:\s+use\s+by)?\s+"
# Each form, and a word without which a comment does not have it: most have none of them.
_FORMS = (
    # Range 22 - 34 (inclusive) reserved for Amazon
    (
        r"\breserved\b",
        rf"(?P<noun>{_NOUN}\s+)?(?<!\w)(?P<list>{_LIST}){_TAIL}{_IS}\s+reserved{_FOR}{_NAMED}",
    ),
    # Numbers 22 to 34 are kept for Amazon
    (
        r"\b(?:kept|held|aside|earmarked|allocated|assigned|claimed|taken|given|used?)\b",
        rf"(?P<noun>{_NOUN}\s+)(?<!\w)(?P<list>{_LIST}){_TAIL}{_IS}\s+(?:{_WORD}){_FOR}{_OWNER}",
    ),
    # Codes 40 and up are for Acme
    (
        r"\b(?:is|are)\s+for\b",
        rf"(?P<noun>{_NOUN}\s+)?(?<!\w)(?P<list>{_LIST}){_TAIL}\s+(?:is|are)\s+for\s+{_OWNER}",
    ),
    (
        r"\bbelongs?\b",
        rf"(?P<noun>{_NOUN}\s+)(?<!\w)(?P<list>{_LIST}){_TAIL}\s+belongs?\s+to\s+{_OWNER}",
    ),
    # Codes 22 - 34 are Amazon's
    (
        r"\b(?:is|are)\b",
        rf"(?P<noun>{_NOUN}\s+)?(?<!\w)(?P<list>{_LIST}){_TAIL}\s+(?:is|are)\s+{_OWNER}'s?(?!\w)",
    ),
    # Amazon's range: 22 - 34
    (
        r"'",
        rf"\b{_OWNER}'s?\s+(?:own\s+)?(?P<noun>{_NOUN})(?:\s*[:=]|\s+(?:is|are))\s*(?P<list>{_LIST})",
    ),
    # Reserved for Amazon: 22 - 34; kept for Acme: codes 40 and 41
    (
        r"\b(?:reserved|kept|aside|held)\s[^:=]{0,200}[:=]",
        rf"\b(?:reserved|kept|set\s+aside|held){_FOR}{_OWNER}\s*[:=]\s*(?P<noun>{_NOUN}\s+)?"
        rf"\b(?P<list>{_LIST})",
    ),
    # Amazon uses numbers 22 - 34
    (
        r"\b(?:uses?|holds?|owns?|claims?|has)\b",
        rf"\b{_OWNER}\s+(?:uses?|holds?|owns?|claims?|has\s+taken|has)\s+(?P<noun>{_NOUN}\s+)"
        rf"\b(?P<list>{_LIST})",
    ),
)
_PART = re.compile(
    rf"(?P<from>{_FROM})?(?P<first>{_NUMBER})(?:{_TO}(?P<last>{_NUMBER})|(?P<open>\s+(?:{_UP})\b|\s*\+))?",
    re.IGNORECASE,
)
# "1 is reserved for future use": what is kept for nobody is no reservation.
_UNITS = re.compile(r"\b(?:bits?|bytes?|offsets?|leaf|leaves|pages?)\s+$", re.IGNORECASE)
_NOBODY = re.compile(r"(?i:future|further|later|internal|backwards?|use|expansion|any|all)\b")


def _patterns(words: str) -> Iterator[re.Pattern[str]]:
    """The forms that a comment may have, by its words."""
    for telling, form in _FORMS:
        if _compiled(telling).search(words):
            yield _compiled(form)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# Xen's longest header has a third of the numbers in its comments, and one reservation.
NUMBERS = 4096
RESERVATIONS = 128
_DIGITS = re.compile(r"\d+")


def reservations(text: str, file: str) -> list[OwnedRange]:
    """Returns the reservations that the comments of a header state, in the order of their lines.

    A list of numbers makes a reservation each range; one without an end reaches to TYPECODE_MAX.

    >>> [found] = reservations("/* Range 22 - 34 (inclusive) reserved for Amazon */", "save.h")
    >>> found.first, found.last, found.owner, str(found.place)
    (22, 34, 'Amazon', 'save.h:1')
    >>> [(found.first, found.last) for found in
    ...  reservations("/* Codes 21, 35 - 37 and 40 and up are for Acme. */", "save.h")]
    [(21, 21), (35, 37), (40, 65535)]

    Raises LimitExceeded for comments of more NUMBERS or RESERVATIONS than any header has.
    """
    ranges: list[OwnedRange] = []
    numbers = 0
    for start, words in _comments(text):
        numbers += len(_DIGITS.findall(words))
        if numbers > NUMBERS or len(ranges) > RESERVATIONS:
            raise LimitExceeded(
                f"{file or 'a hunk'}: its comments hold more than {RESERVATIONS} reservations or "
                f"{NUMBERS} numbers"
            )
        taken: list[tuple[int, int]] = []
        for pattern in _patterns(words):
            for match in pattern.finditer(words):
                if not _is_reservation(match) or any(
                    match.start() < stop and begin < match.end() for begin, stop in taken
                ):
                    continue
                taken.append(match.span())
                line = text.count("\n", 0, start + match.start()) + 1
                ranges += _ranges(match, Place(file=file, line=line))
    return sorted(ranges, key=lambda owned: owned.place.line or 0)


def comment_of(reservation: OwnedRange) -> str:
    """Returns the comment that states a reservation, as Xen's headers word it."""
    first, last = reservation.first, reservation.last
    return f"/* Range {first} - {last} (inclusive) reserved for {reservation.owner} */"


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Each comment's offset and words, its decoration blanked; // on adjoining lines is one."""
    at = 0
    for piece in comments(text):
        if piece.start() < at:
            continue
        whole = piece.group()
        if whole.startswith("//"):
            block = _LINES.match(text, piece.start())
            whole = block.group() if block else whole
        at = piece.start() + len(whole)
        yield piece.start(), _STAR.sub(lambda star: " " * len(star.group()), whole)


def _is_reservation(match: re.Match[str]) -> bool:
    """A lone number needs a noun before it: "1 is for Intel" is none, nor are bits or bytes."""
    if _UNITS.search(match.string, max(match.start() - 20, 0), match.start()):
        return False
    numbers = list(_PART.finditer(match["list"]))
    several = len(numbers) > 1 or numbers[0]["last"] or _is_open(numbers[0])
    return bool(match["noun"] or several) and not _NOBODY.match(match["owner"])


def _ranges(match: re.Match[str], place: Place) -> Iterator[OwnedRange]:
    for part in _PART.finditer(match["list"]):
        first = _value(part["first"])
        open_ended = _is_open(part)
        last = TYPECODE_MAX if open_ended else _value(part["last"] or part["first"])
        yield OwnedRange(
            first=first,
            last=max(first, last) if open_ended else last,
            owner=match["owner"].rstrip("."),
            text=" ".join(match.group().split()),
            place=place,
        )


def _is_open(part: re.Match[str]) -> bool:
    """Tells whether a part has no end: "40 and up", or "from 40" with no word of an end."""
    return bool(part["open"] or (part["from"] and not part["last"]))


def _value(number: str) -> int:
    return int(number, 16 if number[:2].lower() == "0x" else 10)
