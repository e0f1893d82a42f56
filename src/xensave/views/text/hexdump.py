"""Bytes as a person reads them: address, hexadecimal, text."""

from __future__ import annotations

from collections.abc import Iterator

_ROW = 16
_GROUP = 8


def hexdump_lines(data: bytes, address: int) -> Iterator[str]:
    """Yields lines as `hexdump -C` has them; equal rows are shown once, then as "*".

    >>> for line in hexdump_lines(b"Linux version 6.1.192" + bytes(43), 0x1844580):
    ...     print(line)
    0000000001844580  4c 69 6e 75 78 20 76 65  72 73 69 6f 6e 20 36 2e  |Linux version 6.|
    0000000001844590  31 2e 31 39 32 00 00 00  00 00 00 00 00 00 00 00  |1.192...........|
    00000000018445a0  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
    *
    00000000018445c0
    """
    for at, row in rows_once(data, _ROW, len(data)):
        if row is None:
            yield "*"
            continue
        halves = (row[:_GROUP].hex(" "), row[_GROUP:].hex(" "))
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{_address(address + at)}  {halves[0]:<23}  {halves[1]:<23}  |{text}|"
    yield _address(address + len(data))


def rows_once(data: bytes, size: int, end: int) -> Iterator[tuple[int, bytes | None]]:
    """Yields rows of so many bytes up to an end, with their offsets; for all that repeat one None.

    >>> [row for _, row in rows_once(b"abababa", 2, 7)]
    [b'ab', None, b'a']
    """
    before, repeated = b"", False
    for at in range(0, end, size):
        row = data[at : at + size]
        if row != before:
            yield at, row
        elif not repeated:
            yield at, None
        before, repeated = row, row == before


def _address(value: int) -> str:
    return f"{value & (1 << 64) - 1:016x}"
