"""Dynamic VHD: a disk of which only the blocks that were written are stored.

Footer (its copy at offset 0), header and table are big-endian. A block is a bitmap of its 512-byte
sectors, padded to a sector, then the sectors; one whose bit is clear reads as zeros. Source:
Virtual Hard Disk Image Format Specification 1.0 (Microsoft, 2006); drivers/block-vhd.c of blktap.
"""

import struct
from array import array
from typing import NamedTuple

from xensave.errors import Malformed, Truncated, Unsupported
from xensave.source.base import RangeSource, Source
from xensave.source.limits import EXPANSION_FLOOR, EXPANSION_RATIO

SECTOR = 512
DIFFERENCING = 4
BLOCK_SIZES = range(SECTOR, (1 << 26) + 1)
DISK_LIMIT = 1 << 46

_FOOTER = struct.Struct(">8sIIQ4x4s4s4sQQ4sI")
_HEADER = struct.Struct(">8sQQIII")
_SPARSE = b"cxsparse"
_ABSENT = 0xFFFFFFFF
_RECORD = "VHD"


class _Layout(NamedTuple):
    size: int
    table: int
    entries: int
    block: int

    @property
    def bitmap(self) -> int:
        """The bytes of a block's bitmap, padded to a sector."""
        return -(-self.block // SECTOR // 8 // SECTOR) * SECTOR


class VhdSource(RangeSource):
    """The bytes of the disk that a dynamic VHD holds.

    `beneath` is the file, seekable. Raises Malformed for a header whose numbers do not fit, and
    Unsupported for a differencing disk, most of which is in another file. Reading raises
    LimitExceeded beyond `max_size`, or the limits on what compressed input may grow to.
    """

    def __init__(self, beneath: Source, *, max_size: int | None = None) -> None:
        self._file = beneath
        self._layout = _layout(beneath)
        # A file of a few sectors may be a disk of terabytes, of zeros and nothing else.
        most = max(EXPANSION_FLOOR, EXPANSION_RATIO * (beneath.size or 0))
        super().__init__(
            beneath.name, self._layout.size, max_size if max_size is not None else most
        )
        self.file = beneath.file

    def _range(self, offset: int, n: int) -> memoryview:
        first, within = divmod(offset, self._layout.block)
        if within + n <= self._layout.block:
            return self._part(first, within, n)
        whole = bytearray()
        while len(whole) < n:
            length = min(n - len(whole), self._layout.block - within)
            whole += self._part(first, within, length)
            first, within = first + 1, 0
        return memoryview(whole)

    def again(self) -> Source | None:
        """Returns the same disk, read from its start."""
        file = self._file.again()
        if file is None:
            return None
        other = VhdSource(file, max_size=self.max_size)
        other.format = self.format
        return other

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        self.file = None

    def _part(self, block: int, within: int, n: int) -> memoryview:
        """Returns bytes of one block."""
        entry = self._layout.table + 4 * block
        sector = int.from_bytes(self._file.view(entry, 4), "big")
        if sector == _ABSENT:
            return memoryview(bytes(n))
        start = sector * SECTOR
        first, last = within // SECTOR, (within + n - 1) // SECTOR
        try:
            bits = self._file.view(start + first // 8, last // 8 - first // 8 + 1)
            data = self._file.view(start + self._layout.bitmap + within, n)
        except Truncated as error:
            raise Malformed(f"block {block} lies beyond the file", record=_RECORD) from error
        stored = [bits[at // 8 - first // 8] >> (7 - at % 8) & 1 for at in range(first, last + 1)]
        return data if all(stored) else _masked(data, within, stored)


def _masked(data: memoryview, within: int, stored: list[int]) -> memoryview:
    """Returns the bytes with zeros where a sector is not stored."""
    masked = bytearray(data)
    first = within // SECTOR
    for number, present in enumerate(stored):
        if not present:
            start = max(0, (first + number) * SECTOR - within)
            end = min(len(masked), (first + number + 1) * SECTOR - within)
            masked[start:end] = bytes(end - start)
    return memoryview(masked)


def _layout(file: Source) -> _Layout:
    try:
        footer = _FOOTER.unpack(file.view(0, _FOOTER.size))
        place, size, kind = footer[3], footer[8], footer[10]
        if kind == DIFFERENCING:
            raise Unsupported("a differencing VHD: the rest is in its parent", record=_RECORD)
        cookie, _, table, _, entries, block = _HEADER.unpack(file.view(place, _HEADER.size))
    except Truncated as error:
        raise Malformed("its header lies beyond the file", record=_RECORD) from error
    if cookie != _SPARSE:
        raise Malformed(f"of type {kind}, without the header of a dynamic disk", record=_RECORD)
    if block not in BLOCK_SIZES or block % SECTOR or size > DISK_LIMIT:
        raise Malformed(f"blocks of {block} bytes, a disk of {size}", record=_RECORD)
    end = file.size or 0
    if -(-size // block) > entries or table + 4 * entries > end:
        raise Malformed(f"a table of {entries} blocks for {size} bytes", record=_RECORD)
    table_bytes = bytes(file.view(table, 4 * -(-size // block)))
    stored = len(table_bytes) // 4 - array("I", table_bytes).count(_ABSENT)
    if stored * block > end + block:
        # Blocks that lie upon each other make little become much, as compression does.
        raise Malformed(f"{stored} blocks of {block} bytes in {end}", record=_RECORD)
    return _Layout(size, table, entries, block)
