"""Dynamic VHDs, as file SRs keep disks.

Source: Virtual Hard Disk Image Format Specification 1.0 (Microsoft, 2006).
"""

import struct
from collections.abc import Sequence

BLOCK = 1 << 21
"""The bytes of a block, as every writer has them."""


def vhd(
    disk: bytes,
    *,
    size: int | None = None,
    block: int = BLOCK,
    kind: int = 3,
    order: Sequence[int] | None = None,
    clear: Sequence[int] = (),
) -> bytes:
    """Returns a dynamic VHD of a disk; blocks of zeros are left out, sectors in `clear` too.

    The disk has zeros behind the bytes that are there, up to `size`.

    >>> vhd(bytes(BLOCK))[:8]
    b'conectix'
    """
    size = len(disk) if size is None else size
    count = -(-size // block)
    table = 512 + 1024
    first = table + -(-4 * count // 512) * 512
    bitmap = -(-block // 512 // 8 // 512) * 512
    footer = struct.pack(
        ">8sIIQ4x4s4s4sQQ4sI", b"conectix", 2, 0x10000, 512, b"tap\0", b"\0\1\0\3", b"\0\0\0\0",
        size, size, bytes(4), kind,
    ).ljust(512, b"\0")  # fmt: skip
    header = struct.pack(
        ">8sQQIII", b"cxsparse", (1 << 64) - 1, table, 0x10000, count, block
    ).ljust(1024, b"\0")
    places, blocks = [0xFFFFFFFF] * count, b""
    for number in order or range(count):
        data = disk[number * block : (number + 1) * block]
        if any(data):
            places[number] = (first + len(blocks)) // 512
            bits = bytearray(b"\xff" * (block // 512 // 8 or 1))
            for sector in clear:
                if sector * 512 // block == number:
                    within = sector % (block // 512)
                    bits[within // 8] &= ~(0x80 >> within % 8)
            blocks += bytes(bits).ljust(bitmap, b"\0") + data.ljust(block, b"\0")
    entries = struct.pack(f">{count}I", *places).ljust(first - table, b"\xff")
    return footer + header + entries + blocks + footer
