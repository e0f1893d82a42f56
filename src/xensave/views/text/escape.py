"""Text from a guest or a file, made safe for a terminal."""

from __future__ import annotations


def escape(text: str) -> str:
    r"""Returns text in which no character can move the cursor, ring or restyle a terminal.

    Control characters (C0, DEL, C1), bidirectional overrides and lone surrogates come out as
    `\xNN` or `\uNNNN`; everything printable stays.

    >>> print(escape("ok \x1b[31mred\x07"))
    ok \x1b[31mred\x07
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else _code(c) for c in text)


def _code(char: str) -> str:
    value = ord(char)
    if value <= 0xFF:
        return f"\\x{value:02x}"
    return f"\\u{value:04x}" if value <= 0xFFFF else f"\\U{value:08x}"
