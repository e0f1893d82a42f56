"""The numbers of a space as a header or document states them, read as text.

A compiler sees one side of each `#if` and no comment. A reviewer sees both, and the definitions
that were put into comments when their numbers were retired. Values are evaluated only as far as
the file tells: literals, and names that it or the caller defines.
"""

from __future__ import annotations

import ast
import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from xensave.catalogue.owned import OwnedRange
from xensave.findings import Place
from xensave.headers.spaces import SpaceDescription, descriptions
from xensave.headers.text.comments import reservations
from xensave.headers.text.ctext import without_comments

_DEFINE = re.compile(
    r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?:[ \t]+((?:[^\n\\]|\\[^\n]|\\\n)*))?$", re.MULTILINE
)
_COMMENTED = re.compile(
    r"(?:^|/\*|//|\*)[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(\(?\w+\)?)", re.MULTILINE
)
_DECLARED = re.compile(
    r"\bDECLARE_HVM_SAVE_TYPE(?:_COMPAT)?\s*\(\s*(\w{1,80})\s*,\s*([^,;()]{1,80}),"
)
_ENUMERATOR = re.compile(
    r"(?:^|(?<=[{,]))[ \t]*(\w+)[ \t]*=[ \t]*([^,}\n]{1,120}?)[ \t]*(?:,|\}|$)", re.MULTILINE
)
_SUFFIX = re.compile(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b")
_OCTAL = re.compile(r"\b0+(?=[1-9])(?![0-9a-fA-FxX]*[xX])")
_CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|else|elif|endif)\b", re.MULTILINE)
_LONGEST = 120
_DEEPEST = 16
_LARGEST = 1 << 64
# A header's names mean each other a few deep, and Python's stack has an end.
_LONGEST_CHAIN = 50


def _shift_left(value: int, other: int) -> int | None:
    return value << other if 0 <= other < 64 else None


def _shift_right(value: int, other: int) -> int | None:
    return value >> other if 0 <= other < 64 else None


_OPERATORS: dict[type[ast.AST], Callable[[int, int], int | None]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.LShift: _shift_left,
    ast.RShift: _shift_right,
}


class SpaceNumber(NamedTuple):
    """A number that a file gives to a name. An `alias` is defined by another name of the space.

    `value` is its text; `number` is None where the file does not tell what that evaluates to.
    `branches` are the `#if`s that it stands in, each with the number of its branch.
    """

    name: str
    number: int | None
    macro: str
    place: Place
    value: str = ""
    alias: bool = False
    branches: tuple[tuple[int, int], ...] = ()

    def excludes(self, other: SpaceNumber) -> bool:
        """Tells whether no compiler sees both: they stand in different branches of one `#if`."""
        theirs = dict(other.branches)
        return any(theirs.get(start, branch) != branch for start, branch in self.branches)


class SpaceText(NamedTuple):
    """What one file states of a space.

    `retired` are the definitions that stand in comments. `limit` is the first number that is not
    allowed, `version` the interface's; each None where the file has none.
    """

    path: str
    numbers: tuple[SpaceNumber, ...]
    retired: tuple[SpaceNumber, ...] = ()
    limit: int | None = None
    limit_place: Place | None = None
    version: int | None = None
    reservations: tuple[OwnedRange, ...] = ()


def read_text(
    text: str, path: str, description: SpaceDescription, known: Mapping[str, int] | None = None
) -> SpaceText:
    r"""Reads what a header states of a space; `known` are macros that stand elsewhere.

    >>> from xensave.headers.spaces import description_of
    >>> text = "#define EVTCHNOP_close 3\n#define EVTCHNOP_send (EVTCHNOP_close + 1)"
    >>> found = read_text(text, "event_channel.h", description_of("evtchn-op"))
    >>> [(number.name, number.number) for number in found.numbers]
    [('close', 3), ('send', 4)]
    """
    code = without_comments(text)
    lines = _Lines(text, path)
    values: dict[str, str] = {name: str(value) for name, value in (known or {}).items()}
    defined = list(_definitions(code, description))
    values.update({macro: value for macro, value, _ in defined if value})
    numbers = []
    limits: list[tuple[int | None, Place]] = []
    version = None
    branches = _Branches(code)
    evaluator = _Evaluator(values)
    for macro, value, offset in defined:
        place = lines.place(offset)
        if macro == description.limit_macro:
            limits.append((description.limit_of(evaluator.of(value)), place))
        elif macro == description.version:
            version = evaluator.of(value)
        elif name := description.name_of(macro):
            alias = description.name_of(value.strip("() ")) is not None
            number = evaluator.of(value)
            inside = branches.at(offset)
            numbers.append(SpaceNumber(name, number, macro, place, value, alias, inside))
    limit, limit_place = max(limits, key=_height, default=(None, None))
    reserved = _nearest(reservations(text, path), code, numbers, (path, description), lines)
    return SpaceText(
        path,
        tuple(numbers),
        tuple(_retired(text, code, description, lines)),
        limit,
        limit_place,
        version,
        tuple(owned._replace(space=description.space) for owned in reserved),
    )


def _height(limit: tuple[int | None, Place]) -> int:
    return -1 if limit[0] is None else limit[0]


def _nearest(
    stated_ranges: list[OwnedRange],
    code: str,
    numbers: list[SpaceNumber],
    of: tuple[str, SpaceDescription],
    lines: _Lines,
) -> list[OwnedRange]:
    """The reservations that stand nearer to a number of this space than to one of another.

    memory.h has XENMEM and XENMAPSPACE, and a comment says for which by where it stands.
    """
    if not stated_ranges:
        return stated_ranges
    path, description = of
    others = [d for d in descriptions() if d.space != description.space and d.holds(path)]
    theirs = [
        lines.place(offset).line or 0
        for other in others
        for macro, _, offset in _definitions(code, other)
        if other.name_of(macro)
    ]
    mine = [number.place.line or 0 for number in numbers]

    def away(reservation: OwnedRange, places: list[int]) -> int:
        return min(
            (abs((reservation.place.line or 0) - place) for place in places), default=1 << 30
        )

    return [
        reservation
        for reservation in stated_ranges
        if away(reservation, mine) <= away(reservation, theirs)
    ]


def read_document(text: str, path: str, description: SpaceDescription) -> SpaceText:
    """Reads the list of numbers in a document: "0x0000000E: CHECKPOINT"."""
    lines = _Lines(text, path)
    numbers = tuple(
        SpaceNumber(match[2], int(match[1], 16), match[2], lines.place(match.start()), match[1])
        for match in re.finditer(description.listed, text)
    )
    return SpaceText(path, numbers)


def evaluate(value: str, values: Mapping[str, str]) -> int | None:
    """Evaluates an integer constant expression of C; None where names or forms are unknown.

    >>> evaluate("(BASE + 0x10U)", {"BASE": "(1 << 3)"}), evaluate("sizeof(int)", {})
    (24, None)
    """
    return _Evaluator(values).of(value)


class _Evaluator:
    """Evaluates expressions over macros: each name once, and no number beyond 64 bits."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._known: dict[str, int | None] = {}
        self._depth = 0

    def of(self, value: str) -> int | None:
        if len(value) > _LONGEST:
            return None
        plain = _OCTAL.sub("0o", _SUFFIX.sub(r"\1", value.strip()))
        try:
            tree = ast.parse(plain, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        return self._node(tree)

    def _named(self, name: str) -> int | None:
        if name not in self._known and self._depth < _LONGEST_CHAIN:
            # A name that is met again while it is evaluated means itself: it has no value.
            self._known[name] = None
            self._depth += 1
            self._known[name] = self.of(self._values.get(name, ""))
            self._depth -= 1
        return self._known.get(name)

    def _node(self, node: ast.expr) -> int | None:
        value = None
        match node:
            case ast.Constant(value=int() as number):
                value = number
            case ast.Name(id=name):
                value = self._named(name)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                positive = self._node(inner)
                value = None if positive is None else -positive
            case ast.BinOp(left=left, op=op, right=right):
                first, other = self._node(left), self._node(right)
                done = _OPERATORS.get(type(op))
                if first is not None and other is not None and done is not None:
                    value = done(first, other)
        return value if value is not None and abs(value) < _LARGEST else None


class _Lines:
    """Offsets of a text to places; asked in order, it counts each line once."""

    def __init__(self, text: str, path: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._path = path

    def place(self, offset: int) -> Place:
        return Place(file=self._path, line=bisect_right(self._starts, offset))


class _Branches:
    """The `#if`s of a text: which branches an offset stands in."""

    def __init__(self, code: str) -> None:
        self._starts = [0]
        self._stacks: list[tuple[tuple[int, int], ...]] = [()]
        stack: list[tuple[int, int]] = []
        for match in _CONDITIONAL.finditer(code):
            if match[1].startswith("if"):
                stack.append((match.start(), 0))
            elif stack and match[1].startswith("el"):
                stack[-1] = (stack[-1][0], stack[-1][1] + 1)
            elif stack:
                stack.pop()
            # Deeper than any header is: the rest counts as one branch.
            self._starts.append(match.start())
            self._stacks.append(tuple(stack[:_DEEPEST]))

    def at(self, offset: int) -> tuple[tuple[int, int], ...]:
        return self._stacks[bisect_right(self._starts, offset) - 1]


def _definitions(code: str, description: SpaceDescription) -> Iterator[tuple[str, str, int]]:
    for match in _DEFINE.finditer(code):
        yield match[1], (match[2] or "").replace("\\\n", " ").strip(), match.start(1)
    for match in _ENUMERATOR.finditer(code):
        if description.name_of(match[1]):
            yield match[1], match[2], match.start(1)
    if description.declared:
        for match in _DECLARED.finditer(code):
            yield f"{match[1]}_CODE", match[2].strip(), match.start(1)


def _retired(
    text: str, code: str, description: SpaceDescription, lines: _Lines
) -> Iterator[SpaceNumber]:
    for match in _COMMENTED.finditer(text):
        name = description.name_of(match[1])
        if name and not code[match.start(1) : match.end(1)].strip():
            number = evaluate(match[2], {})
            yield SpaceNumber(name, number, match[1], lines.place(match.start(1)), match[2])
