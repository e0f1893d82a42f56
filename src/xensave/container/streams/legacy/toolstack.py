"""libxl's own chunk of a legacy stream: the places of a device model's memory."""

from __future__ import annotations

import struct

from xensave.container.streams.libxl import XENSTORE_LIMIT
from xensave.errors import LimitExceeded, Malformed

VERSION = 1
LEAKED = 4
"""A 64-bit toolstack's struct ends in so many bytes of padding, which went along behind names."""

_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<QQQI")
_RECORD = "legacy toolstack"


def xenstore_data(body: bytes | memoryview, width: int) -> bytes:
    r"""Returns keys and values, each with its NUL, as EMULATOR_XENSTORE_DATA has them.

    Raises Malformed for what libxl's own converter refuses, LimitExceeded above XENSTORE_LIMIT.

    >>> entry = _ENTRY.pack(0xa0000, 0xf0000000, 0x800000, 5) + b"vram" + bytes(1)
    >>> xenstore_data(_HEAD.pack(1, 1) + entry, width=4)[:40]
    b'physmap/a0000/start_addr\x00f0000000\x00physma'
    """
    if len(body) < _HEAD.size:
        raise Malformed(f"{len(body)} bytes, at least {_HEAD.size} expected", record=_RECORD)
    version, count = _HEAD.unpack_from(body)
    if version != VERSION:
        raise Malformed(f"version {version}, expected {VERSION}", record=_RECORD)
    at = _HEAD.size
    words: list[bytes] = []
    left = XENSTORE_LIMIT
    for _ in range(count):
        if at + _ENTRY.size > len(body):
            raise Malformed(f"{count} entries in {len(body)} bytes", record=_RECORD)
        phys, start, size, length = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        name = bytes(body[at : at + length])
        at += length + (LEAKED if width == 8 else 0)
        if at > len(body):
            raise Malformed(f"a name of {length} bytes leaves the chunk", record=_RECORD)
        root = b"physmap/%x/" % phys
        entry = (
            root + b"start_addr", b"%x" % start, root + b"size", b"%x" % size,
            root + b"name", _checked(name),
        )  # fmt: skip
        words += entry
        left -= sum(map(len, entry)) + len(entry)
        if left < 0:
            raise LimitExceeded(f"keys of more than {XENSTORE_LIMIT} bytes", record=_RECORD)
    return b"".join(word + b"\0" for word in words)


def _checked(name: bytes) -> bytes:
    """Returns a name without its NUL."""
    if not name or name[-1]:
        raise Malformed(f"name {name[:32]!r} does not end in NUL", record=_RECORD)
    try:
        name.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"name {name[:32]!r} is not UTF-8", record=_RECORD) from error
    return name[:-1]
