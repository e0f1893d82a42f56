"""Small readings of C text where a compiler cannot help: calls, bodies, comments.

The hypervisor's sources do not compile alone, so the handlers are read as text: comments are
blanked, parentheses and braces are balanced, nothing else is understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

# Comments, and what may hold the marks of one: strings and characters.
_PIECE = re.compile(
    r"/\*.*?(?:\*/|\Z)|//[^\n]*" r"""|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])'""", re.DOTALL
)
_STARRED = re.compile(r"\s+\*(?:\s|$)")
_CONDITION = re.compile(r"[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b")
_NEVER = re.compile(r"[ \t]*#[ \t]*if[ \t]+(?:0|\(0\)|false)[ \t]*$")
_QUOTED = r"""\"(?:\\.|[^"\\\n])*+\"|'(?:\\.|[^'\\\n])'"""
_PUNCTUATION = re.compile(r"[(\[{,)\]}]")
_BRACE = re.compile(r"\s*+\{")
_PAIRS = {"(": ")", "{": "}"}


def comments(text: str) -> Iterator[re.Match[str]]:
    """Yields each comment, with its marks; one that is not closed reaches to the end."""
    return (piece for piece in _PIECE.finditer(text) if piece.group().startswith("/"))


def without_comments(text: str) -> str:
    """Returns the text with comments blanked to spaces, so that offsets and lines stay."""

    def blank(match: re.Match[str]) -> str:
        piece = match.group()
        return re.sub(r"[^\n]", " ", piece) if piece.startswith("/") else piece

    return _PIECE.sub(blank, text)


def mark_before(lines: Sequence[str]) -> str:
    """Returns the mark of the comment that lines cut out of a text begin within, "" where none.

    >>> mark_before([" * the end of it. */", "int a; /* and another */"])
    '/*'
    """
    for line in lines:
        start, end = line.find("/*"), line.find("*/")
        if end >= 0 and (start < 0 or end < start):
            return "/*"
        if start >= 0:
            return ""
        if _STARRED.match(line):
            return "/*"
    return ""


def mark_behind(lines: Sequence[str]) -> str:
    """Returns the mark that closes the comment that such lines end within, "" where none."""
    text = mark_before(lines) + "\n".join(lines)
    return "*/" if text.rfind("/*") > text.rfind("*/") else ""


def code_of(lines: Sequence[str]) -> list[str]:
    """Returns such lines with comments blanked, and nothing behind the last word of each.

    >>> code_of([" * the end of it. */", "int a; /* and another */"])
    ['', 'int a;']
    """
    mark = mark_before(lines)
    code = without_comments(mark + "\n".join(lines))
    return [line.rstrip() for line in code[len(mark) :].split("\n")]


def active_code(text: str) -> str:
    r"""Returns the text with comments and what stands under `#if 0` blanked.

    >>> active_code("#if 0\na();\n#else\nb(); /* c(); */\n#endif").split()
    ['#if', '0', '#else', 'b();', '#endif']
    """
    lines = without_comments(text).split("\n")
    depth = dead = 0
    for number, line in enumerate(lines):
        directive = _CONDITION.match(line)
        if directive is None:
            if dead:
                lines[number] = " " * len(line)
        elif directive[1].startswith("if"):
            depth += 1
            if not dead and _NEVER.match(line):
                dead = depth
        elif directive[1] == "endif" or depth == dead:
            dead = 0 if depth == dead else dead
            depth -= directive[1] == "endif"
    return "\n".join(lines)


@lru_cache(maxsize=4)
def _closings(text: str, opener: str) -> dict[int, int]:
    """Returns where each bracket that is closed opens, and where it closes.

    All are told in one pass: where brackets nest or stay open, one pass for each takes too long.
    """
    pattern = re.compile(rf"""{_QUOTED}|[{re.escape(opener + _PAIRS[opener])}]""")
    closings: dict[int, int] = {}
    opened: list[int] = []
    for match in pattern.finditer(text):
        if match.group() == opener:
            opened.append(match.start())
        elif match.group() == _PAIRS[opener] and opened:
            closings[opened.pop()] = match.start()
    return closings


def opening(text: str, end: int) -> int | None:
    """Returns the offset of the brace that the one at `end` closes, None where it closes none."""
    return next((at for at, closed in _closings(text, "{").items() if closed == end), None)


def calls(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each `name(...)` outside of a #define and of another: its offset, its arguments."""
    closings = _closings(text, "(")
    passed = 0
    for match in re.finditer(rf"\b{re.escape(name)}\s*+\(", text):
        end = closings.get(match.end() - 1)
        if end is None or match.start() < passed:
            continue
        passed = end
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not line.lstrip().startswith("#"):
            yield match.start(), arguments(text[match.end() : end])


def arguments(text: str) -> list[str]:
    """Returns the arguments of a call, split at the commas of the outermost level."""
    commas = [-1]
    depth = 0
    for match in _PUNCTUATION.finditer(text):
        depth += (match[0] in "([{") - (match[0] in ")]}")
        if match[0] == "," and depth == 0:
            commas.append(match.start())
    return [
        " ".join(text[start + 1 : end].split())
        for start, end in zip(commas, [*commas[1:], len(text)], strict=True)
    ]


def body(text: str, function: str) -> str | None:
    """Returns the body of a function that the text defines."""
    closings = _closings(text, "(")
    for match in re.finditer(rf"\b{re.escape(function)}\s*+\(", text):
        end = closings.get(match.end() - 1)
        opener = _BRACE.match(text, end + 1) if end is not None else None
        if opener:
            stop = _closings(text, "{").get(opener.end() - 1)
            return text[opener.end() : stop] if stop is not None else None
    return None
