"""Where the components of an XSAVE area lie in the standard format, and how long they are.

Their layouts are in `xensave.records.meaning.cpu.xsave`. Source: Intel SDM volume 1, 13.4.
"""

from __future__ import annotations

LEGACY_SIZE = 512
HEADER_END = 576
AREA_START = 24
"""Where the area lies in a CPU_XSAVE record: behind XCR0, the states in use and the mask."""

FP_SSE, MPX, AVX512, TILES = 0b11, 0b11 << 3, 0b111 << 5, 0b11 << 17
"""States that come together: x87 and SSE, the two of MPX, three of AVX-512, the two of AMX."""

YMM, PKRU, LWP = 1 << 2, 1 << 9, 1 << 62
"""States of their own; the names of all are in `xensave.records.meaning.bits.XCR0`."""

COMPACT = 1 << 63
"""The bit of XCOMP_BV that says that the area is in the compacted format."""

PLACES = {
    0: (0, LEGACY_SIZE),
    2: (576, 256),
    3: (960, 64),
    4: (1024, 64),
    5: (1088, 64),
    6: (1152, 512),
    7: (1664, 1024),
    9: (2688, 8),
    17: (2752, 64),
    18: (2816, 8192),
    62: (832, 128),
}
"""Offset and size by the component's bit; x87 and SSE are one, the legacy region."""


def place_of(bit: int) -> tuple[int, int] | None:
    """Returns a component's offset and size in the standard format; None for one not known.

    >>> place_of(9), place_of(62), place_of(30)
    ((2688, 8), (832, 128), None)
    """
    return PLACES.get(bit)


def standard_size(states: int) -> int | None:
    """Returns how long an area in the standard format is with these states; None for unknown ones.

    >>> standard_size(0b111), standard_size(1 << 30)
    (832, None)
    """
    size = HEADER_END
    for bit in range(2, states.bit_length()):
        if states >> bit & 1:
            place = place_of(bit)
            if place is None:
                return None
            size = max(size, sum(place))
    return size
