"""Lines of a header to the facts they state, without a compiler: what a hunk alone can tell.

A hunk begins and ends anywhere: in a comment, in a struct, in a function. What is no fact about
the number space or a struct's members is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from xensave.headers.text.comments import reservations

# The kinds of facts.
OPEN = "open"
CLOSE = "close"
MEMBER = "member"
DECLARE = "declare"
NUMBER = "number"
MAXIMUM = "maximum"
RESERVE = "reserve"
CONSTANT = "constant"
UNKNOWN = "unknown"


class Fact(NamedTuple):
    """What a line states. `name` and `value` identify it; `text` is C to put in its place.

    `value` is a number for DECLARE, NUMBER, MAXIMUM, (first, last) for RESERVE, the type and
    bit-field width for a MEMBER. `line` is the index of the line in the sequence scanned.
    `outer` says that an OPEN or CLOSE is of a struct that lies in no other: it is not indented.
    """

    kind: str
    name: str
    value: tuple[int | str, ...]
    text: str
    line: int
    outer: bool = False

    @property
    def key(self) -> tuple[str, str, tuple[int | str, ...]]:
        """What must agree for two facts to be one: a member's type is compared apart."""
        return self.kind, self.name, () if self.kind == MEMBER else self.value


_DECLARE = re.compile(r"\bDECLARE_HVM_SAVE_TYPE(?:_COMPAT)?\s*\(\s*(\w+)\s*,\s*(\w+)\s*,(.*)\)")
_DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)\s+(.+?)\s*$")
_OPEN = re.compile(r"^\s*(?:typedef\s+)?(struct|union)\b\s*(\w*)\s*\{\s*$")
_CLOSE = re.compile(
    r"^\s*\}\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?(\w*)\s*((?:\[[^\]]*\]\s*)*);?\s*$"
)
_MEMBER = re.compile(
    r"^\s*((?:(?:const|volatile|unsigned|signed|long|short|int|char|struct|union)\s+)*\w+)\s+"
    r"\*?\s*(\w+)\s*((?:\[[^\]]*\]\s*)*)(?::\s*(\w+))?\s*;\s*\\?\s*$"
)
_ONE_LINE = re.compile(r"^\s*((?:struct|union)\b\s*\w*)\s*\{([^{}]*;)\s*\}\s*([^{}]*;)\s*$")
_SEVERAL = re.compile(
    r"^\s*((?:unsigned\s+|signed\s+|struct\s+|union\s+)?\w+)\s+([^,;(){}]+(?:,[^,;(){}]+)+);\s*$"
)
_NOT_TYPES = frozenset({"return", "goto", "else", "typedef", "case", "extern", "static"})


def facts(lines: Sequence[str], section: str = "") -> list[Fact]:
    """The facts that lines of a header state, in their order.

    `section` is what a hunk's @@ line says that it lies in. A line of code outside of functions
    that states nothing known is an UNKNOWN fact: it may not be passed over where it changes.
    """
    found: list[Fact] = []
    code = _without_comments(lines)
    inside = _begins_in_function(code, section)
    branch = _Branch()
    skip = 0
    for index, line in enumerate(code):
        found += _reserved(lines[index], index)
        was_inside, inside = inside, _in_function(inside, index, code)
        if was_inside or inside or index < skip or not line.strip() or branch.directive(line):
            continue
        for piece in _pieces(line):
            fact = next(filter(None, (parse(piece, index, code) for parse in _PARSERS)), None)
            if fact is not None:
                found += branch.choose(fact)
                skip = index + (_statement(index, code)[1] if fact.kind == DECLARE else 1)
    return found


class _Branch:
    """Of a conditional's branches the first counts; another may only say the same.

    A flexible array is written in three ways under #if, #elif and #else, for one.
    """

    def __init__(self) -> None:
        self._first: set[tuple[str, str, tuple[int | str, ...]]] = set()
        self._other = False

    def directive(self, line: str) -> bool:
        """Is this line a conditional directive? What it means is noted."""
        match = re.match(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b", line)
        if match is None:
            return False
        self._other = match[1] in ("elif", "else")
        if not self._other:
            self._first = set()
        return True

    def choose(self, fact: Fact) -> list[Fact]:
        """The fact, nothing where the first branch states it too, or that it is not known."""
        if not self._other:
            self._first.add(fact.key)
            return [fact]
        return [] if fact.key in self._first else [fact._replace(kind=UNKNOWN)]


def _pieces(line: str) -> list[str]:
    """A struct on one line, or several members, as if each stood on its own line.

    >>> _pieces("    struct { char x[512]; } fpu_sse;")
    ['    struct {', '     char x[512];', '    } fpu_sse;']
    >>> _pieces("    uint32_t a, b;")
    ['    uint32_t a;', '    uint32_t b;']
    """
    indent = line[: len(line) - len(line.lstrip())]
    if whole := _ONE_LINE.match(line):
        inner = [f"{indent} {part.strip()};" for part in whole[2].split(";") if part.strip()]
        return [f"{indent}{whole[1].rstrip()} {{", *inner, f"{indent}}} {whole[3]}"]
    if several := _SEVERAL.match(line):
        return [f"{indent}{several[1]} {name.strip()};" for name in several[2].split(",")]
    return [line]


def _begins_in_function(code: Sequence[str], section: str) -> bool:
    """Does a hunk begin inside a function's body? Its first line that is not indented tells."""
    if "(" not in section or section.startswith(("DECLARE", "struct", "union", "typedef")):
        return False
    outer = next((line for line in code if line.strip() and not line[0].isspace()), "}")
    return outer.startswith(("{", "}"))


def _aggregate(line: str, index: int, code: Sequence[str]) -> Fact | None:
    """The first line of a struct or union, its brace at the end or on the next line."""
    if opening := _OPEN.match(line):
        return _opened(opening, line, index)
    opening = re.match(r"^\s*(struct|union)\s+(\w+)\s*$", line)
    follows = next((text for text in code[index + 1 :] if text.strip()), "")
    return _opened(opening, line, index) if opening and follows.strip() == "{" else None


def _closing(line: str, index: int, _: Sequence[str]) -> Fact | None:
    closing = _CLOSE.match(line)
    if closing is None:
        return None
    text = f"{line.strip().rstrip(';')};"
    return Fact(CLOSE, closing[1], (), text, index, outer=not line[:1].isspace())


def _member(line: str, index: int, _: Sequence[str]) -> Fact | None:
    member = _MEMBER.match(line)
    if member is None or member[1].split()[0] in _NOT_TYPES:
        return None
    value = (" ".join(member[1].split()), member[4] or "")
    return Fact(MEMBER, member[2], value, line.strip().rstrip("\\"), index)


def _unknown(line: str, index: int, _: Sequence[str]) -> Fact | None:
    """Directives, macros' lines and forward declarations change no layout by themselves."""
    text = line.strip()
    harmless = text.startswith("#") or re.fullmatch(
        r"\{|(struct|union)\s+\w+;|\w.*\)\s*\{.*\}", text
    )
    within_macro = text.endswith("\\") and "__HVM_SAVE_TYPE" not in text
    if harmless or within_macro or not re.search(r"[;{}]", text):
        return None
    return Fact(UNKNOWN, text, (), text, index)


def _opened(opening: re.Match[str], line: str, index: int) -> Fact:
    text = f"{opening[1]} {opening[2]} {{"
    return Fact(OPEN, opening[2], (), text, index, outer=not line[:1].isspace())


def _declared(line: str, index: int, code: Sequence[str]) -> Fact | None:
    """A binding, which may run over several lines."""
    if "DECLARE_HVM_SAVE_TYPE" not in line or line.lstrip().startswith("#"):
        return None
    text = _statement(index, code)[0]
    match = _DECLARE.search(text)
    if match is None:
        return Fact(UNKNOWN, text, (), text, index)
    number = _integer(match[2])
    return Fact(DECLARE, match[1], (match[2] if number is None else number,), text, index)


def _statement(index: int, code: Sequence[str]) -> tuple[str, int]:
    """A call from its first line to its closing bracket, on one line, and how many it took."""
    text = ""
    for count, line in enumerate(code[index : index + 6], 1):
        text += line.strip().rstrip("\\").rstrip() + " "
        if text.count("(") == text.count(")"):
            return text.strip(), count
    return text.strip(), 1


def _defined(line: str, index: int, _: Sequence[str]) -> Fact | None:
    define = _DEFINE.match(line)
    if define is None or line.rstrip().endswith("\\"):
        return None
    number = _integer(define[2].strip("()"))
    value = (define[2] if number is None else number,)
    if define[1] == "HVM_SAVE_CODE_MAX":
        return Fact(MAXIMUM, define[1], value, line.strip(), index)
    if re.fullmatch(r"(?!HVM_SAVE_)[A-Z][A-Z0-9_]*_CODE", define[1]):
        return Fact(NUMBER, define[1].removesuffix("_CODE"), value, line.strip(), index)
    return Fact(CONSTANT, define[1], (define[2],), line.strip(), index)


_PARSERS = (_declared, _defined, _aggregate, _closing, _member, _unknown)


def _reserved(line: str, index: int) -> list[Fact]:
    """Reservations stand in comments; one line of a longer comment is read as a comment."""
    body = line.strip().strip("/*").strip()
    return [
        Fact(
            RESERVE,
            kept.owner.casefold(),
            (kept.first, kept.last),
            f"/* Range {kept.first} - {kept.last} (inclusive) reserved for {kept.owner} */",
            index,
        )
        for kept in reservations(f"/* {body} */", "")
    ]


def _integer(text: str) -> int | None:
    try:
        return int(text.rstrip("uUlL"), 0)
    except ValueError:
        return None


def _in_function(inside: bool, index: int, code: Sequence[str]) -> bool:
    """Is a line in a function's body, its head included? Head and last brace are not indented."""
    line = code[index].rstrip()
    if inside:
        return not line.startswith("}")
    if line == "{":
        head = next((text for text in reversed(code[:index]) if text.strip()), "")
        return head.rstrip().endswith(")")
    return not line[:1].isspace() and re.search(r"\)\s*\{$", line) is not None


def _without_comments(lines: Sequence[str]) -> list[str]:
    """The lines with comments blanked; one that began before the first line counts too."""
    inside = _begins_in_comment(lines)
    code = []
    for line in lines:
        kept = ""
        rest = line
        while rest:
            if inside:
                _, closed, rest = rest.partition("*/")
                inside = not closed
            else:
                before, opened, rest = rest.partition("/*")
                kept += before
                inside = bool(opened)
        code.append(re.sub(r"//.*", "", kept))
    return code


def _begins_in_comment(lines: Sequence[str]) -> bool:
    for line in lines:
        start, end = line.find("/*"), line.find("*/")
        if end >= 0 and (start < 0 or end < start):
            return True
        if start >= 0:
            return False
    return False
