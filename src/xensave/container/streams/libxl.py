"""libxl's stream, version 2: a header, then records up to END.

Source: docs/specs/libxl-migration-stream.pandoc; tools/libs/light/libxl_sr_stream_format.h.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from xensave.container.events import LIBXL, Event
from xensave.container.format import Format
from xensave.container.framing import HEADER, HEADER_SIZE, pack_record
from xensave.container.reading import read_header, read_record
from xensave.container.streams import libxc
from xensave.errors import LimitExceeded, Malformed, Unsupported
from xensave.source import Source

MAGIC = b"LibxlFmt"
SIZE = 16
VERSION = 2
OPTION_BIG_ENDIAN = 1 << 0
OPTION_LEGACY = 1 << 1
KNOWN_OPTIONS = OPTION_BIG_ENDIAN | OPTION_LEGACY

END = 0
LIBXC_CONTEXT = 1
EMULATOR_XENSTORE_DATA = 2
EMULATOR_CONTEXT = 3
CHECKPOINT_END = 4
CHECKPOINT_STATE = 5

RECORDS = {
    END: "END",
    LIBXC_CONTEXT: "LIBXC_CONTEXT",
    EMULATOR_XENSTORE_DATA: "EMULATOR_XENSTORE_DATA",
    EMULATOR_CONTEXT: "EMULATOR_CONTEXT",
    CHECKPOINT_END: "CHECKPOINT_END",
    CHECKPOINT_STATE: "CHECKPOINT_STATE",
}

QEMU_TRADITIONAL = 1
QEMU_UPSTREAM = 2
EMULATORS = {0: "unknown", QEMU_TRADITIONAL: "QEMU traditional", QEMU_UPSTREAM: "QEMU upstream"}

CHECKPOINT_STATES = {
    0: "new checkpoint",
    1: "secondary suspended",
    2: "secondary ready",
    3: "secondary resumed",
}

_HEADER = struct.Struct(">8sII")
_EMULATOR = struct.Struct("<II")
EMULATOR_HEADER_SIZE = _EMULATOR.size

XENSTORE_LIMIT = 1 << 20
"""Longer xenstore data is not split into keys and values; QEMU's is a few KiB."""

KEYS_LIMIT = 1 << 14
"""Nor is what holds more keys: QEMU's are a dozen."""


class LibxlHeader(NamedTuple):
    """The stream's header; every field of it is big-endian.

    >>> LibxlHeader.parse(LibxlHeader().to_bytes())
    LibxlHeader(version=2, options=0)
    """

    version: int = VERSION
    options: int = 0

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "LibxlHeader":
        """Reads SIZE bytes. Raises Malformed or Unsupported where what follows cannot be read."""
        magic, version, options = _HEADER.unpack(data)
        if magic != MAGIC:
            raise Malformed("not the magic of a libxl stream", record="libxl header")
        if version != VERSION:
            raise Unsupported(
                f"libxl stream of version {version}, expected {VERSION}", record="libxl header"
            )
        if options & OPTION_BIG_ENDIAN:
            raise Unsupported("big-endian libxl stream", record="libxl header")
        return cls(version, options)

    def to_bytes(self) -> bytes:
        """Returns the SIZE bytes again."""
        return _HEADER.pack(MAGIC, self.version, self.options)

    @property
    def about(self) -> str:
        """What the fields say, in words."""
        legacy = ", converted from a legacy stream" if self.options & OPTION_LEGACY else ""
        return f"version {self.version}{legacy}"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return LIBXL


class EmulatorHeader(NamedTuple):
    """What begins the body of both emulator records: whose state, and of which instance of it."""

    emulator_id: int
    emulator_index: int

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "EmulatorHeader":
        """Reads the first 8 bytes of a body. Raises Malformed for fewer."""
        if len(body) < _EMULATOR.size:
            raise Malformed(f"{len(body)} bytes hold no emulator header", record="libxl emulator")
        return cls(*_EMULATOR.unpack_from(body))

    def to_bytes(self) -> bytes:
        """Returns the 8 bytes again."""
        return _EMULATOR.pack(*self)

    @property
    def name(self) -> str:
        """The emulator's name, or its number."""
        return EMULATORS.get(self.emulator_id, f"emulator {self.emulator_id:#x}")


def parse_xenstore(data: bytes | memoryview) -> list[tuple[str, str]]:
    r"""Returns the keys and values after the emulator header of EMULATOR_XENSTORE_DATA.

    Bytes that are not UTF-8 come out as surrogates, so that `pack_xenstore` gives them back.

    Raises Malformed for bytes that are no keys with values, LimitExceeded above XENSTORE_LIMIT
    or KEYS_LIMIT.

    >>> parse_xenstore(b"physmap/0/name\0vga.vram\0")
    [('physmap/0/name', 'vga.vram')]
    """
    if not data:
        return []
    if len(data) > XENSTORE_LIMIT + EMULATOR_HEADER_SIZE:
        raise LimitExceeded(
            f"{len(data)} bytes of xenstore data, the limit is {XENSTORE_LIMIT}", record=_XENSTORE
        )
    if data[-1] != 0:
        raise Malformed("xenstore data does not end in NUL", record=_XENSTORE)
    flat = bytes(data[:-1])
    if flat.count(0) >= 2 * KEYS_LIMIT:
        raise too_many_keys()
    words = [word.decode("utf-8", "surrogateescape") for word in flat.split(b"\0")]
    if len(words) % 2:
        raise Malformed(f"{len(words)} strings are no keys with values", record=_XENSTORE)
    return list(zip(words[::2], words[1::2], strict=True))


def too_many_keys() -> LimitExceeded:
    """Returns the error that there are more keys than anybody reads."""
    return LimitExceeded(f"more than {KEYS_LIMIT:,} xenstore keys", record=_XENSTORE)


def pack_xenstore(pairs: list[tuple[str, str]]) -> bytes:
    """Returns keys and values as they lie in the record."""
    return b"".join(
        word.encode("utf-8", "surrogateescape") + b"\0" for pair in pairs for word in pair
    )


_XENSTORE = "libxl EMULATOR_XENSTORE_DATA"


class Libxl(Format):
    """A libxl stream: records of the toolstack, one of which hands over to libxc's stream.

    In a checkpointed stream (Remus, COLO) libxc's CHECKPOINT hands back to records of libxl up
    to CHECKPOINT_END, then libxc goes on.
    """

    name = LIBXL
    inner = LIBXL
    title = "a libxl stream"
    magics = (MAGIC,)
    records = RECORDS
    device_model = EMULATOR_CONTEXT
    page = "docs/reference/formats/xl.md"

    def front(self, metadata: bytes, options: int = 0) -> bytes:
        """Returns the header, and the record that hands over to libxc."""
        return LibxlHeader(options=options).to_bytes() + pack_record(LIBXC_CONTEXT)

    def back(self) -> bytes:
        """Returns END."""
        return pack_record(END)

    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields the header and the records, those of the libxc stream in their place."""
        return chain.from_iterable(_parts(source))


LIBXL_FORMAT = Libxl()


def _parts(source: Source) -> Iterator[Iterable[Event]]:
    """Yields each header and record, and libxc's stream as it is."""
    yield (read_header(source, LIBXL, "header", size=SIZE, parse=LibxlHeader.parse),)
    while True:
        event = read_record(source, LIBXL, RECORDS)
        yield (event,)
        event.finish()
        if event.type == LIBXC_CONTEXT:
            yield libxc.LIBXC_FORMAT.walk(source, _checkpoint)
        elif event.type == END:
            return


def _checkpoint(source: Source, domain: Event) -> Iterator[Event]:
    """Yields libxl's records of a checkpoint, and the control records of COLO after it."""
    ended = False
    while not ended or _is_control(source, domain):
        event = read_record(source, LIBXL, RECORDS)
        yield event
        event.finish()
        ended = ended or event.type in (CHECKPOINT_END, END)


def _is_control(source: Source, domain: Event) -> bool:
    """Tells CHECKPOINT_STATE from libxc's record of the same number, X86_PV_VCPU_EXTENDED.

    libxl writes it 4 bytes long (8 with the specification's padding); an empty
    X86_PV_VCPU_EXTENDED has 8, and only PV guests have it.
    """
    head = source.peek(HEADER_SIZE)
    if len(head) < HEADER_SIZE:
        return False
    type_, length = HEADER.unpack(head)
    pv = isinstance(domain.header, libxc.DomainHeader) and domain.header.type == libxc.PV
    return type_ == CHECKPOINT_STATE and (length <= 4 or (length <= 8 and not pv))
