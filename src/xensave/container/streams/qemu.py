"""QEMU's migration stream: which sections of which devices it holds, without reading them.

Sections have no length. Each begins with a header (type, id, name, instance, version; all
big-endian) and, unless QEMU was told otherwise, ends with a footer that repeats its id; under Xen
it is told otherwise (`send-section-footer=off` in accel/xen/xen-all.c), so the next header is what
ends a section there. A stream that describes itself (`vmdesc`, not under Xen) settles which
headers are real. Source: migration/savevm.c and migration/vmstate.c of QEMU 2.4 and later.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from xensave.errors import Malformed

MAGIC = b"QEVM"
VERSION = 3
_DESCRIPTION = b"\x00\x06"
_FOOTER = b"\x7e"

# QEMU_VM_SECTION_START or _FULL, an id below 65,536, and the length of a name.
_HEADER = re.compile(rb"(?=[\x01\x04](\x00\x00..)([\x02-\xff]))", re.DOTALL)
_HEADER_SIZE = 6
_SUBSECTION = re.compile(rb"(?=\x05([\x03-\xff]))", re.DOTALL)
_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 _.:/@,+-]*")
_SUBNAME = re.compile(rb"[A-Za-z0-9_.:-]+(?:/[A-Za-z0-9_.:-]+)+")
# vmstate versions are small; the largest of QEMU 9 is 24.
_VERSION_LIMIT = 1 << 16
# Devices have an id string of at most 255 bytes, and QEMU a few hundred of them.
SECTIONS_LIMIT = 10_000


class Subsection(NamedTuple):
    """An optional part of a section, present where its state differs from the default."""

    name: str
    version: int


class QemuSection(NamedTuple):
    """The state of one device: `offset` and `length` are of its whole section in the stream.

    `name` and `instance` are what the QEMU that restores it looks a device up by; `version` must
    be one that its device reads.
    """

    name: str
    instance: int
    version: int
    id: int
    offset: int
    length: int
    subsections: tuple[Subsection, ...] = ()

    @property
    def label(self) -> str:
        """Name and instance: "dma[1]"."""
        return f"{self.name}[{self.instance}]"

    @property
    def header(self) -> bytes:
        """The header as QEMU_VM_SECTION_FULL has it, which is what device states are saved as.

        Raises OverflowError or UnicodeEncodeError for what does not fit its field.
        """
        name = self.name.encode("ascii")
        front = b"\x04" + self.id.to_bytes(4, "big") + len(name).to_bytes(1, "big") + name
        return front + self.instance.to_bytes(4, "big") + self.version.to_bytes(4, "big")


def is_qemu(data: bytes) -> bool:
    """Tells whether a stream begins as QEMU's does."""
    return data.startswith(MAGIC) and len(data) >= 8


def stream_version(data: bytes) -> int:
    """Returns the version of the stream itself; 3 since QEMU 0.10."""
    return int.from_bytes(data[4:8], "big")


def sections(data: bytes) -> tuple[QemuSection, ...]:
    r"""Returns the sections of a stream, in order.

    Raises Malformed for more of them than SECTIONS_LIMIT. Bytes of a device that look like a
    header are taken for one where the stream has neither footers nor a description.

    >>> timer = b"\x04" + bytes(4) + b"\x05timer" + bytes(4) + b"\0\0\0\2" + bytes(24)
    >>> sections(b"QEVM\0\0\0\3" + timer + b"\0")
    (QemuSection(name='timer', instance=0, version=2, id=0, offset=8, length=43, subsections=()),)
    """
    end, described = _description(data)
    heads = list(_heads(data, end))
    if described is not None:
        heads = [head for head in heads if (head.name, head.instance) in described]
    heads = _with_footers(data, heads)
    ends = [head.offset for head in heads[1:]] + [end]
    return tuple(
        head._replace(length=stop - head.offset, subsections=_subsections(data, head, stop))
        for head, stop in zip(heads, ends, strict=False)
    )


def _heads(data: bytes, end: int) -> Iterator[QemuSection]:
    """Yields what looks like the header of a section."""
    count = 0
    for match in _HEADER.finditer(data, 8, end):
        start = match.start() + _HEADER_SIZE
        stop = start + match[2][0]
        name = _NAME.fullmatch(data, start, stop)
        version = int.from_bytes(data[stop + 4 : stop + 8], "big")
        if name is None or stop - start != match[2][0] or stop + 8 > end:
            continue
        if version >= _VERSION_LIMIT:
            continue
        count += 1
        if count > SECTIONS_LIMIT:
            raise Malformed(
                f"more than {SECTIONS_LIMIT:,} sections of QEMU's state", record="QEMU stream"
            )
        yield QemuSection(
            name=name[0].decode("ascii"),
            instance=int.from_bytes(data[stop : stop + 4], "big"),
            version=version,
            id=int.from_bytes(match[1], "big"),
            offset=match.start(),
            length=0,
        )


def _with_footers(data: bytes, heads: list[QemuSection]) -> list[QemuSection]:
    """Keeps the headers that come right after a footer, if the stream has footers."""
    if not heads:
        return heads
    followed = [head for head in heads[1:] if data[head.offset - 5 : head.offset - 4] == _FOOTER]
    ids = {head.id for head in heads}
    followed = [
        head
        for head in followed
        if int.from_bytes(data[head.offset - 4 : head.offset], "big") in ids
    ]
    return [heads[0], *followed] if 2 * len(followed) > len(heads) else heads


def _description(data: bytes) -> tuple[int, set[tuple[str, int]] | None]:
    """Returns where the sections end, and the devices that the stream's description lists."""
    at = data.rfind(_DESCRIPTION)
    if at >= 0:
        length = int.from_bytes(data[at + 2 : at + 6], "big")
        if at + 6 + length == len(data):
            return at, _devices(data[at + 6 :])
    return (len(data) - 1 if data[-1:] == b"\0" else len(data)), None


def _devices(text: bytes) -> set[tuple[str, int]] | None:
    try:
        result = json.loads(text)
        return {(device["name"], device["instance_id"]) for device in result["devices"]}
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _subsections(data: bytes, head: QemuSection, end: int) -> tuple[Subsection, ...]:
    """Returns the subsections in a section: their names begin with their parent's and a slash."""
    result = []
    for match in _SUBSECTION.finditer(data, head.offset, end):
        start = match.start() + 2
        stop = start + match[1][0]
        name = _SUBNAME.fullmatch(data, start, min(stop, end))
        version = int.from_bytes(data[stop : stop + 4], "big")
        if name is not None and stop + 4 <= end and version < _VERSION_LIMIT:
            result.append(Subsection(name[0].decode("ascii"), version))
    return tuple(result)
