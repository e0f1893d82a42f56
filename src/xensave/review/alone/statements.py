"""Lines of a header to the facts they state, without a compiler: what a hunk alone can tell.

A hunk begins and ends anywhere: in a comment, in a struct, in a function. Statements are told by
their semicolons and braces, so that it does not matter how they are broken into lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from xensave.errors import LimitExceeded
from xensave.headers.text.comments import comment_of, reservations
from xensave.headers.text.ctext import code_of, mark_before
from xensave.review.alone.facts import HeaderFact, Kind

_DEFINE = re.compile(r"#\s*define\s+(\w+)(\([^)]*\))?(?:\s+(.*))?$", re.DOTALL)
_CONDITION = re.compile(r"#\s*(if|ifdef|ifndef|elif|else|endif)\b\s*(.*)")
_INCLUDE = re.compile(r"#\s*include\s+(\S+)")
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|\b__packed\b")
_OPEN = re.compile(r"(?:typedef\s+)?(struct|union)\b\s*(\w*)$")
_BITMAP = re.compile(r"DECLARE_BITMAP\s*\(\s*(\w+)\s*,[^()]*\)$")
_ONE_LINE_BODY = re.compile(r"\)\s*\{.*\}\s*$")
_ENUM = re.compile(r"(?:typedef\s+)?enum\b\s*\w*$")
_CLOSE = re.compile(r"\}\s*+(\w*+)\s*+(?:\[[^\]]*+\]\s*+)*+(?:,.*)?$", re.DOTALL)
_TYPE = r"(?:(?:const|volatile|unsigned|signed|long|short|int|char|struct|union|enum)\s+)*\w+"
# What repeats gives nothing back: any part of a declarator may be absent.
_DECLARATOR = r"\*?+\s*+\w*+\s*+(?:\[[^\]]*+\]\s*+)*+(?::\s*+(?:\w++|\([^()]*+\)))?+"
_MEMBER = re.compile(rf"({_TYPE})(?:\s+|(?=:))({_DECLARATOR}(?:,\s*+{_DECLARATOR})*+)$")
_NAME = re.compile(r"\*?\s*(\w*)")
_DECLARE = re.compile(
    r"\bDECLARE_HVM_SAVE_TYPE(?:_COMPAT)?\s*\(\s*+(\w++)\s*+,\s*+([^,\s]++(?:\s++[^,\s]++)*+)\s*+,(.*)\)$"
)
_NOT_TYPES = frozenset({"return", "goto", "else", "typedef", "case", "extern", "static"})
_FOREIGN = re.compile(
    r"__(?:powerpc(?:64)?|riscv|arm|aarch64|ia64|loongarch|mips|s390x?)(?:__|_\w+)?|__riscv"
)
_DEFINED = re.compile(r"defined\s*+\(?+\s*+(\w++)\s*+\)?+")
STATEMENTS = 40_000
"""What one side of a hunk may state: twice as many as a patch may have lines."""

FRAME = ("HVM_FILE_MAGIC", "HVM_FILE_VERSION")


def facts(lines: Sequence[str], section: str = "") -> list[HeaderFact]:
    """Returns the facts that lines of a header state, in the order of their lines.

    `section` is what a hunk's @@ line says that it lies in.

    Raises LimitExceeded above STATEMENTS.
    """
    code = code_of(lines)
    every = (fact for piece in _pieces(code, section) for fact in _facts_of(piece))
    told = list(islice(every, STATEMENTS + 1))
    if len(told) > STATEMENTS:
        raise LimitExceeded(f"a hunk of the patch states more than {STATEMENTS} things")
    return sorted([*_reserved(lines), *told], key=lambda fact: fact.first)


def substance(lines: Sequence[str]) -> tuple[list[str], list[tuple[str, tuple[int | str, ...]]]]:
    """Returns what lines say without spaces and comments, and the reservations in comments."""
    code = [" ".join(line.split()) for line in code_of(lines)]
    return [line for line in code if line], [(fact.name, fact.value) for fact in _reserved(lines)]


class _Piece(NamedTuple):
    """A statement, a directive or a brace with what belongs to it, and its lines."""

    text: str
    first: int
    last: int
    indented: bool


def _pieces(code: Sequence[str], section: str) -> Iterator[_Piece]:
    """The statements outside of functions and of branches for other architectures."""
    reader = _Reader(code)
    inside = _begins_in_function(code, section)
    index = 0
    while index < len(code):
        line = code[index]
        if inside:
            inside = not line.startswith("}")
        elif reader.begins_function(index):
            reader.drop()
            inside = not _ONE_LINE_BODY.search(line)
        elif line.strip():
            if line.lstrip().startswith("#"):
                last, pieces = reader.directive(index)
                yield from pieces
                index = last
            else:
                yield from reader.line(index)
        index += 1
    yield from reader.rest()


class _Reader:
    """Gathers the words of a statement until its semicolon or brace."""

    def __init__(self, code: Sequence[str]) -> None:
        self._code = code
        self._words: list[str] = []
        self._first = 0
        # Brackets and braces that are open within the statement, as those of an enum are.
        self._depth = self._braces = 0
        self._foreign = self._macro = False
        # For each conditional that is open, whether it began with a branch for others.
        self._chains: list[bool] = []

    def directive(self, index: int) -> tuple[int, list[_Piece]]:
        """Returns a preprocessor's line with those that continue it, unless they lay out a struct.

        What such a macro makes is read as code. A branch for other architectures is left out.
        """
        last, parts = index, [self._code[index].strip()]
        while parts[-1].endswith("\\") and last + 1 < len(self._code):
            if _makes_struct(self._code, last):
                break
            last += 1
            parts[-1] = parts[-1][:-1].rstrip()
            parts.append(self._code[last].strip())
        text = " ".join(parts)
        # What a hunk shows of a macro's body that began before it ends here.
        self.drop()
        condition = _CONDITION.match(text)
        if (condition and self._drops(condition[1], condition[2])) or self._foreign:
            return last, []
        indented = self._code[index][0].isspace()
        return last, [_Piece(text.rstrip("\\").strip(), index, last, indented)]

    def _drops(self, word: str, condition: str) -> bool:
        """Follows a conditional; tells whether its line says nothing, as those around a foreign do.

        What comes after `#else` of a branch for other architectures is for every x86.
        """
        foreign = _is_foreign(word, condition)
        self._foreign = foreign
        if word.startswith("if"):
            self._chains.append(foreign)
            return foreign
        if foreign or not self._chains:
            return foreign
        within = self._chains[-1]
        if word == "endif":
            return self._chains.pop()
        if word == "elif":
            self._chains[-1] = False
        return word == "else" and within

    def line(self, index: int) -> Iterator[_Piece]:
        """Yields the statements that end on a line."""
        if self._foreign:
            return
        line = self._code[index].strip()
        self._macro = self._macro or line.endswith("\\")
        for token in re.findall(r"[{};()]|[^{};()]+", line.rstrip("\\")):
            if self._words or token.strip():
                yield from self._token(token, index)
        if self._macro and self._words and not line.endswith("\\"):
            # The end of a macro's body, which no semicolon follows.
            yield self._piece(index)
            self._macro = False
        elif self._words == ["}"] and self._code[index].rstrip() == "}":
            # The last brace of a function, which no semicolon follows.
            self._words = []
        elif self._words and self._words != ["}"]:
            self._words.append(" ")

    def _token(self, token: str, index: int) -> Iterator[_Piece]:
        if not self._words:
            self._first = index
        self._depth += (token == "(") - (token == ")")
        within = self._braces > 0
        if token == "{" and (within or (self._depth <= 0 and _ENUM.match(self._text()))):
            self._braces += 1
        elif token == "}" and within:
            self._braces -= 1
        elif token == "{" and self._depth <= 0:
            self._words.append(" {")
            yield self._piece(index)
            return
        elif token == ";" and self._depth <= 0 and not within:
            yield self._piece(index)
            return
        elif token == "}" and self._words:
            # A hunk that begins in the middle of a statement, or a brace of a function.
            yield self._piece(index)
            self._first = index
        self._words.append(token)

    def begins_function(self, index: int) -> bool:
        """Tells whether a line opens a function's body: what its statement is so far ends in `)`.

        The head or its brace is not indented. What a function does is no fact of the header.
        """
        line = self._code[index].rstrip()
        before, brace, _ = line.partition("{")
        if not brace or line.lstrip().startswith("#") or self._foreign:
            return False
        # A statement may be as long as the hunk: its first word and its last are all that tells.
        # `struct __attribute__((packed)) {` opens a struct.
        before = _ATTRIBUTE.sub("", before)
        begins = (self._words[0] if self._words else before).lstrip()
        ends = next((w for w in chain([before], reversed(self._words)) if w.strip()), "").rstrip()
        first = self._code[self._first] if self._words else line
        whole = line.endswith("{") or _ONE_LINE_BODY.search(line) is not None
        outer = line == "{" or not (first[:1].isspace() or begins.startswith("}"))
        return whole and outer and ends.endswith(")")

    def drop(self) -> None:
        """Forgets the statement so far."""
        self._words, self._depth, self._braces, self._macro = [], 0, 0, False

    def rest(self) -> Iterator[_Piece]:
        """Yields what the last line leaves open."""
        if self._words:
            yield self._piece(len(self._code) - 1)._replace(indented=True)

    def _text(self) -> str:
        return " ".join("".join(self._words).split())

    def _piece(self, index: int) -> _Piece:
        piece = _Piece(self._text(), self._first, index, self._code[self._first][:1].isspace())
        self._words, self._depth = [], 0
        return piece


def _makes_struct(code: Sequence[str], index: int) -> bool:
    """Tells whether the body of a macro that begins here lays out a struct, not the binding's."""
    body = "".join(code[index + 1 : index + 3])
    opens = re.match(r"\s*+(?:struct|union)\s*+\w*+\s*+\{", body)
    return opens is not None and "__HVM_SAVE" not in body


def _facts_of(piece: _Piece) -> Iterator[HeaderFact]:
    """The facts of one statement."""
    text, place = piece.text, (piece.first, piece.last)
    if text.startswith("#"):
        yield _directive(text, place)
        return
    bare = _ATTRIBUTE.sub("", text).strip()
    if text.endswith("{"):
        opening = _OPEN.match(bare[:-1].strip())
        if opening:
            yield HeaderFact(Kind.OPEN, opening[2], (), text, *place, outer=not piece.indented)
        elif bare != "{":
            yield HeaderFact(Kind.OTHER, text, (), text, *place)
    elif text.startswith("}"):
        closing = _CLOSE.match(bare)
        kind, name = (Kind.CLOSE, closing[1]) if closing else (Kind.OTHER, text)
        outer = closing is not None and not piece.indented
        yield HeaderFact(kind, name, (), f"{text};", *place, outer=outer)
    elif "DECLARE_HVM_SAVE_TYPE" in text:
        match = _DECLARE.match(text)
        kind, name = (Kind.DECLARE, match[1]) if match else (Kind.OTHER, text)
        value = _value(match[2], match[2]) if match else ()
        yield HeaderFact(kind, name, value, f"{text};", *place)
    elif bare:
        yield from _members(bare, text, place)


def _value(text: str, digits: str) -> tuple[int | str, ...]:
    """A number, or the expression that stands for it."""
    number = integer(digits)
    return (text if number is None else number,)


def _members(bare: str, text: str, place: tuple[int, int]) -> Iterator[HeaderFact]:
    bitmap = _BITMAP.match(bare)
    if bitmap:
        yield HeaderFact(Kind.MEMBER, bitmap[1], (), f"{text};", *place)
        return
    member = _MEMBER.match(bare)
    if member is None or member[1].split()[0] in _NOT_TYPES or member[1] in ("struct", "union"):
        if not re.fullmatch(r"(?:struct|union)\s+\w+", bare):
            yield HeaderFact(Kind.OTHER, text, (), f"{text};", *place)
        return
    attributes = " ".join(_ATTRIBUTE.findall(text))
    for declarator in member[2].split(","):
        name = _NAME.match(declarator.strip())
        made = f"{member[1]} {declarator.strip()} {attributes}".strip()
        yield HeaderFact(Kind.MEMBER, name[1] if name else "", (), f"{made};", *place)


def _directive(text: str, place: tuple[int, int]) -> HeaderFact:
    define, include = _DEFINE.match(text), _INCLUDE.match(text)
    plain = " ".join(text.split())
    if _CONDITION.match(text):
        return HeaderFact(Kind.CONDITION, plain, (), text, *place)
    if include:
        return HeaderFact(Kind.INCLUDE, include[1].strip('"<>'), (), text, *place)
    if define is None or define[2]:
        return HeaderFact(Kind.OTHER, plain, (), text, *place)
    body = (define[3] or "").strip()
    kind, name = _defined(define[1])
    return HeaderFact(kind, name, _value(body, body.strip("() ")), text, *place)


def _defined(name: str) -> tuple[Kind, str]:
    """What a macro without parameters is, and the name it goes by."""
    if name == "HVM_SAVE_CODE_MAX":
        return Kind.MAXIMUM, name
    if name in FRAME:
        return Kind.FRAME, name
    if re.fullmatch(r"(?!HVM_SAVE_)[A-Z][A-Z0-9_]*_CODE", name):
        return Kind.NUMBER, name.removesuffix("_CODE")
    return Kind.CONSTANT, name


def integer(text: str) -> int | None:
    """Returns the value of an integer constant as C writes it, or None for another expression.

    >>> integer("0x10U"), integer("CPU_MSR_CODE + 1")
    (16, None)
    """
    try:
        return int(text.rstrip("uUlL"), 0)
    except ValueError:
        return int(text, 8) if re.fullmatch(r"0[0-7]{1,20}", text) else None


def _is_foreign(word: str, condition: str) -> bool:
    """Tells whether a condition can hold for no x86: it asks for other architectures alone.

    >>> _is_foreign("elif", "defined(__powerpc64__) || defined(__riscv)")
    True
    """
    if word == "ifdef":
        return _FOREIGN.fullmatch(condition.strip()) is not None
    if word not in ("if", "elif"):
        return False
    asked = _DEFINED.findall(condition)
    rest = _DEFINED.sub("", condition)
    plain = not rest.replace("|", "").strip()
    return bool(asked) and plain and all(_FOREIGN.fullmatch(name) for name in asked)


def _reserved(lines: Sequence[str]) -> list[HeaderFact]:
    """Reservations stand in comments, which a hunk may cut at either end."""
    text = mark_before(lines) + "\n".join(lines)
    return [
        HeaderFact(
            Kind.RESERVE,
            reservation.owner.casefold(),
            (reservation.first, reservation.last),
            comment_of(reservation),
            (reservation.place.line or 1) - 1,
            (reservation.place.line or 1) - 1 + reservation.text.count("\n"),
        )
        for reservation in reservations(text, "")
    ]


def _begins_in_function(code: Sequence[str], section: str) -> bool:
    """Tells whether a hunk begins in a function's body, by its first line that is not indented."""
    if "(" not in section or section.startswith(("DECLARE", "struct", "union", "typedef")):
        return False
    outer = next((line for line in code if line.strip() and not line[0].isspace()), "}")
    return outer.startswith(("{", "}"))
