r"""S-expressions as Jane Street's sexplib and xend write them: atoms, quoted or not, and lists.

In quotes a backslash begins `\n`, `\t`, `\b`, `\r`, `\\`, `\"`, `\'`, `\ddd` (decimal), `\xhh`, or
stands before the end of a line, which is passed over with the blanks that begin the next one.
xend quotes a word as Python 2 does, in either kind of quotes. Source: show() in
tools/python/xen/xend/sxp.py of Xen 4.4.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from xensave.errors import LimitExceeded, Malformed

Sexp: TypeAlias = "str | list[Sexp]"

SIZE_LIMIT = 4 << 20
"""A VM's record has a few KiB."""
WORDS_LIMIT = 1 << 16
"""Words and lists: a VM's record has a few hundred."""
DEPTH_LIMIT = 64
"""Lists within lists; xenopsd's go about ten deep."""

# A word in quotes may be long: nothing is remembered of it to go back to.
_TOKEN = re.compile(rb'\s+|;[^\n]*|[()]|"(?:[^"\\]++|\\.)*+"|[^\s()";]+', re.DOTALL)
_XEND_TOKEN = re.compile(
    rb"""\s+|#[^\n]*|[()]|"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'|[^\s()'"#]+""", re.DOTALL
)
_ESCAPE = re.compile(rb"\\(\d{3}|x[0-9a-fA-F]{2}|\r?\n[ \t]*|.)", re.DOTALL)
_SHORT = {b"n": b"\n", b"t": b"\t", b"b": b"\b", b"r": b"\r"}
_RECORD = "s-expression"


def parse(data: bytes | memoryview, *, xend: bool = False) -> Sexp:
    r"""Returns the one expression in some bytes; with `xend` as xend writes it.

    Raises Malformed for what is none, LimitExceeded for what is too long, or has too many
    words and lists, or is nested too deeply.

    >>> parse(b'((name "a \\"b\\"")(vcpus 1)(keymap()))')
    [['name', 'a "b"'], ['vcpus', '1'], ['keymap', []]]
    >>> parse(b"(domain (name 'my guest') (args \"it's\"))", xend=True)
    ['domain', ['name', 'my guest'], ['args', "it's"]]
    """
    text = bytes(data)
    if len(text) > SIZE_LIMIT:
        raise LimitExceeded(f"{len(text)} bytes, the limit is {SIZE_LIMIT}", record=_RECORD)
    stack: list[list[Sexp]] = [[]]
    at, left = 0, WORDS_LIMIT
    tokens, quotes, comment = (_XEND_TOKEN, b"\"'", b"#") if xend else (_TOKEN, b'"', b";")
    while at < len(text):
        match = tokens.match(text, at)
        if match is None:
            raise Malformed("a quoted word does not end", offset=at, record=_RECORD)
        token = match[0]
        left -= 1
        if left < 0:
            raise LimitExceeded(f"over {WORDS_LIMIT:,} words", offset=at, record=_RECORD)
        if token[:1] in quotes:
            stack[-1].append(_unquoted(token[1:-1]).decode("utf-8", "surrogateescape"))
        elif not token[:1].isspace() and token[:1] != comment:
            _take(token, stack, at)
        at = match.end()
    if len(stack) > 1:
        raise Malformed(f"{len(stack) - 1} lists do not end", offset=at, record=_RECORD)
    if len(stack[0]) != 1:
        raise Malformed(f"{len(stack[0])} expressions, one expected", offset=0, record=_RECORD)
    return stack[0][0]


def _take(token: bytes, stack: list[list[Sexp]], at: int) -> None:
    if token == b"(":
        if len(stack) > DEPTH_LIMIT:
            raise LimitExceeded(f"nested deeper than {DEPTH_LIMIT}", offset=at, record=_RECORD)
        inner: list[Sexp] = []
        stack[-1].append(inner)
        stack.append(inner)
    elif token == b")":
        if len(stack) == 1:
            raise Malformed("a list ends that did not begin", offset=at, record=_RECORD)
        stack.pop()
    else:
        stack[-1].append(token.decode("utf-8", "surrogateescape"))


def _unquoted(word: bytes) -> bytes:
    """Returns a word without its escapes: piece by piece, for re.sub takes 90 bytes for each."""
    plain = bytearray()
    at = 0
    for match in _ESCAPE.finditer(word):
        plain += word[at : match.start()] + _unescaped(match)
        at = match.end()
    return bytes(plain + word[at:])


def _unescaped(match: re.Match[bytes]) -> bytes:
    word = match[1]
    if len(word) == 3 and word.isdigit():
        return bytes([int(word) & 0xFF])
    if len(word) == 3 and word.startswith(b"x"):
        return bytes([int(word[1:], 16)])
    if word.lstrip(b"\r").startswith(b"\n"):
        return b""
    return _SHORT.get(word, word)


def field(value: Sexp, *path: str) -> Sexp | None:
    """Returns what follows a key in a list of pairs, key by key; None where there is none.

    >>> field(parse(b"((ty(HVM((acpi true)))))"), "ty", "HVM", "acpi")
    'true'
    """
    place: Sexp | None = value
    for key in path:
        if not isinstance(place, list):
            return None
        place = _after(place, key)
    return place


def _after(pairs: list[Sexp], key: str) -> Sexp | None:
    if len(pairs) == 2 and pairs[0] == key:
        return pairs[1]
    for pair in pairs:
        if isinstance(pair, list) and pair and pair[0] == key:
            return pair[1] if len(pair) == 2 else pair[1:]
    return None


def word(value: Sexp | None) -> str:
    """Returns an atom's text, "" for anything else."""
    return value if isinstance(value, str) else ""


def text(value: Sexp, *path: str) -> str:
    """Returns the word that a path of fields leads to, or ""."""
    return word(field(value, *path))


def first_word(value: Sexp | None) -> str:
    """Returns the word that a nested list begins with, or "" where there is none."""
    while isinstance(value, list) and value:
        value = value[0]
    return word(value)
