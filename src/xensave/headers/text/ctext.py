"""Small readings of C text where a compiler cannot help: calls, bodies, comments.

The hypervisor's sources do not compile alone, so the handlers are read as text: comments are
blanked, parentheses and braces are balanced, nothing else is understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# Comments, and what may hold the marks of one: strings and characters.
_PIECE = re.compile(
    r"/\*.*?(?:\*/|\Z)|//[^\n]*" r"""|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])'""", re.DOTALL
)
_STARRED = re.compile(r"\s+\*(?:\s|$)")
_CONDITION = re.compile(r"[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b")
_NEVER = re.compile(r"[ \t]*#[ \t]*if[ \t]+(?:0|\(0\)|false)[ \t]*$")
_PAIRS = {"(": ")", "{": "}", "[": "]"}


def comments(text: str) -> Iterator[re.Match[str]]:
    """Yields each comment, with its marks; one that is not closed reaches to the end."""
    return (piece for piece in _PIECE.finditer(text) if piece.group().startswith("/"))


def without_comments(text: str) -> str:
    """Returns the text with comments blanked to spaces, so that offsets and lines stay."""

    def blank(match: re.Match[str]) -> str:
        piece = match.group()
        return re.sub(r"[^\n]", " ", piece) if piece.startswith("/") else piece

    return _PIECE.sub(blank, text)


def begins_in_comment(lines: Sequence[str]) -> bool:
    """Tells whether lines that were cut out of a text begin within a comment.

    >>> begins_in_comment([" * the end of it. */", "int a; /* and another */"])
    True
    """
    for line in lines:
        start, end = line.find("/*"), line.find("*/")
        if end >= 0 and (start < 0 or end < start):
            return True
        if start >= 0:
            return False
        if _STARRED.match(line):
            return True
    return False


def ends_in_comment(lines: Sequence[str]) -> bool:
    """Tells whether lines that were cut out of a text end within a comment."""
    text = "\n".join(lines)
    return text.rfind("/*") > text.rfind("*/")


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


def closing(text: str, start: int) -> int:
    """Returns the offset of the bracket that closes the one at `start`, or -1 where none does."""
    opener = text[start]
    depth = 0
    pattern = re.compile(rf'"(?:\\.|[^"\\\n])*"|[{re.escape(opener + _PAIRS[opener])}]')
    for match in pattern.finditer(text, start):
        if match.group() == opener:
            depth += 1
        elif match.group() == _PAIRS[opener]:
            depth -= 1
            if depth == 0:
                return match.start()
    return -1


def calls(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each `name(...)` outside of a #define: its offset and its arguments."""
    for match in re.finditer(rf"\b{re.escape(name)}\s*\(", text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        end = closing(text, match.end() - 1)
        if end >= 0 and not line.lstrip().startswith("#"):
            yield match.start(), arguments(text[match.end() : end])


def arguments(text: str) -> list[str]:
    """Returns the arguments of a call, split at the commas of the outermost level."""
    parts = [""]
    depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [" ".join(part.split()) for part in parts]


def body(text: str, function: str) -> str | None:
    """Returns the body of a function that the text defines."""
    for match in re.finditer(rf"\b{re.escape(function)}\s*\(", text):
        end = closing(text, match.end() - 1)
        opener = re.compile(r"\s*\{").match(text, end + 1) if end >= 0 else None
        if opener:
            stop = closing(text, opener.end() - 1)
            return text[opener.end() : stop] if stop >= 0 else None
    return None
