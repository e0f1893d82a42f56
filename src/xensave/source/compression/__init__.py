"""Compression of inputs and outputs; which one an input's first bytes tell."""

from __future__ import annotations

# Skippable frames (pzstd writes one first) begin with 0x184d2a50 - 0x184d2a5f.
SKIPPABLE = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))

CODECS = {
    "zstd": (b"\x28\xb5\x2f\xfd", *SKIPPABLE),
    "xz": (b"\xfd7zXZ\x00",),
    "gzip": (b"\x1f\x8b\x08",),
    "bzip2": (b"BZh",),
    "lz4": (b"\x04\x22\x4d\x18",),
}
"""How the frames of each compression begin."""
MAGIC_SIZE = 6


def recognise(head: bytes) -> str | None:
    """Returns the name of the compression that the first bytes announce, or None.

    >>> recognise(bytes.fromhex("28b52ffd0458"))
    'zstd'
    """
    return next((name for name, magics in CODECS.items() if head.startswith(magics)), None)
