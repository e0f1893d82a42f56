"""What libxl and libxc records share: a type, a length, a body padded to 8 bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping

HEADER = struct.Struct("<II")
HEADER_SIZE = 8
OPTIONAL = 1 << 31
"""The bit of a record's type that lets a reader ignore it."""


def padding_size(length: int) -> int:
    """Returns how many bytes of padding follow a body.

    >>> [padding_size(n) for n in (0, 1, 7, 8, 9)]
    [0, 7, 1, 0, 7]
    """
    return -length & 7


def pack_record(type_: int, body: bytes | memoryview = b"", padding: bytes | None = None) -> bytes:
    """Returns a record: header, body, and padding (zeros unless other bytes are to be kept).

    >>> pack_record(0x0D).hex()
    '0d00000000000000'
    """
    pad = bytes(padding_size(len(body))) if padding is None else padding
    return HEADER.pack(type_, len(body)) + body + pad


def record_name(type_: int, names: Mapping[int, str]) -> str:
    """Returns a record type's name, or what can be said of an unknown one.

    >>> record_name(0x80000005, {})
    'optional record 0x80000005'
    """
    kind = "optional" if type_ & OPTIONAL else "mandatory"
    return names.get(type_) or f"{kind} record {type_:#x}"
