r"""Suspend images of xenopsd (XCP-ng, XenServer): a signature, then headers and records.

15 bytes of signature; then, nothing aligned or padded, 16 bytes for each record: a 64-bit type
and a 64-bit length. The image lies at the start of a disk that is larger: what follows
End_of_image is what was there before. The older signature is followed by a legacy stream, and
by the device model's state. Source: ocaml/xenopsd/lib/suspend_image.ml and xc/domain.ml of
xapi-project/xen-api.
"""

import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import NamedTuple

from xensave.container.description import GuestDescription, Json, configuration
from xensave.container.events import HEADER_KIND, RECORD, XENOPSD, Event, Header
from xensave.container.format import Format
from xensave.container.frames import sexp
from xensave.container.reading import read_header
from xensave.container.streams import varstored
from xensave.container.streams.legacy import LEGACY_FORMAT, LegacyHeader
from xensave.container.streams.libxc import LIBXC_FORMAT
from xensave.container.streams.libxl import LIBXL_FORMAT, QEMU_UPSTREAM, EmulatorHeader
from xensave.errors import Malformed, Truncated, Unsupported, UsageError, XensaveError
from xensave.source import Source

MAGIC = b"XenSavedDomv2-\n"
LEGACY_MAGIC = b"XenSavedDomain\n"
SIZE = 15

XENOPS = 0x000F
LIBXC = 0x00F0
LIBXL = 0x00F1
LIBXC_LEGACY = 0x00F2
QEMU_TRAD = 0x0F00
QEMU_XEN = 0x0F01
DEMU = 0x0F10
VARSTORED = 0x0F11
SWTPM0 = 0x0F12
SWTPM = 0x0F13
END_OF_IMAGE = 0xFFFF

RECORDS = {
    XENOPS: "Xenops",
    LIBXC: "Libxc",
    LIBXL: "Libxl",
    LIBXC_LEGACY: "Libxc_legacy",
    QEMU_TRAD: "Qemu_trad",
    QEMU_XEN: "Qemu_xen",
    DEMU: "Demu",
    VARSTORED: "Varstored",
    SWTPM0: "Swtpm0",
    SWTPM: "Swtpm",
    END_OF_IMAGE: "End_of_image",
}

STREAMS = frozenset({LIBXC, LIBXL, LIBXC_LEGACY})
"""Records whose length is 0, and which a stream follows that tells its own end."""

_TYPES = {"hvm": "hvm", "pv": "pv", "pvinpvh": "pvh", "pvh": "pvh"}
QEMU_LIMIT = 1 << 20
"""xenopsd refuses a longer state of QEMU's (qemu_save_limit in domain.ml)."""

PAIR = struct.Struct("<qq")
MODEL_SIGNATURES = {b"QemuDeviceModelRecord\n": "big", b"DeviceModelRecord0002": "little"}
"""What precedes a device model's state behind a legacy stream, and its length's byte order."""


class XenopsdHeader(NamedTuple):
    """The signature: version 2 has records, version 1 a legacy stream."""

    version: int = 2

    @classmethod
    def parse(cls, data: bytes | memoryview) -> "XenopsdHeader":
        """Reads SIZE bytes. Raises Malformed for another signature."""
        try:
            return cls({MAGIC: 2, LEGACY_MAGIC: 1}[bytes(data)])
        except KeyError:
            raise Malformed("not the signature of a suspend image", offset=0) from None

    def to_bytes(self) -> bytes:
        """Returns the SIZE bytes again."""
        return MAGIC if self.version == 2 else LEGACY_MAGIC

    @property
    def about(self) -> str:
        """What the signature says, in words."""
        return "records follow" if self.version == 2 else "a legacy stream follows"

    @property
    def begins(self) -> str:
        """The layer that begins here."""
        return XENOPSD


class Xenopsd(Format):
    """A suspend image: a VDI of type suspend, or what was copied off it."""

    name = XENOPSD
    inner = LIBXC_FORMAT.name
    demands = "xenopsd's record of the VM"
    title = "a suspend image of xenopsd"
    magics = (MAGIC, LEGACY_MAGIC)
    records = RECORDS
    device_model = QEMU_TRAD
    model_head = EmulatorHeader(QEMU_UPSTREAM, 0).to_bytes()
    marks = STREAMS | {END_OF_IMAGE}
    modern = MappingProxyType({LIBXC_LEGACY: LIBXC})
    page = "docs/reference/formats/xenopsd.md"
    trailer = False

    def walk(self, source: Source, *, stored: bool = False) -> Iterator[Event]:
        """Yields the signature and the records, a stream's in their place.

        Raises Unsupported for a vGPU's state.
        """
        head = read_header(source, XENOPSD, "signature", size=SIZE, parse=XenopsdHeader.parse)
        yield head
        if head.header == XenopsdHeader(1):
            yield from _legacy(source, stored=stored)
            return
        while True:
            event = _record(source)
            yield event
            event.finish()
            if event.type == END_OF_IMAGE:
                return
            if event.type in STREAMS:
                yield from _stream(source, event.type, stored=stored)
            elif event.type == DEMU:
                raise event.fault(
                    Unsupported, "a vGPU's state: it has no length, and nothing tells where it ends"
                )

    def front(self, metadata: bytes, options: int = 0) -> bytes:
        """Returns the signature, the record of the VM, and the one that a libxc stream follows.

        Raises UsageError for a record of a VM that cannot be read.
        """
        wrong = self.describe(metadata).wrong
        if wrong is not None:
            raise UsageError(f"xenopsd's record of the VM: {wrong.message}")
        return MAGIC + self.pack(XENOPS, metadata) + self.pack(LIBXC)

    def back(self) -> bytes:
        """Returns the record that ends the image."""
        return self.pack(END_OF_IMAGE)

    def pack(self, type_: int, body: bytes | memoryview = b"") -> bytes:
        """Returns a record."""
        return PAIR.pack(type_, len(body)) + body

    def announcing(self, header: Header, *, legacy: bool = False) -> Header | None:
        """Returns the signature; None around a legacy stream, which no xenopsd of today writes.

        Raises Unsupported for the older signature: only a legacy stream may follow it.
        """
        if legacy:
            return None
        if header == XenopsdHeader(1):
            raise Unsupported(
                "a suspend image of old holds a legacy stream only, and has no record of the VM"
                " for one of today: say --to libxl, or --to xenopsd with --config FILE",
                record="xenopsd signature",
            )
        return header

    def describes(self, event: Event) -> bool:
        """Tells the record of the VM."""
        return event.is_record(XENOPSD, XENOPS)

    def describe(self, body: bytes) -> GuestDescription:
        """Returns what the VM's record says of the guest, in the shape of libxl's configuration."""
        text = body.decode("utf-8", "replace")
        try:
            outer = sexp.parse(body)
            vm = sexp.parse(sexp.text(outer, "vm_str").encode("utf-8", "surrogateescape"))
        except XensaveError as error:
            error.record = f"{XENOPSD} Xenops"
            return GuestDescription(text=text, wrong=error)
        return GuestDescription(_config(vm), text, tuple(_details(outer, vm)))

    def detail(self, type_: int, body: bytes, length: int) -> tuple[str, str] | None:
        """Names the UEFI variables, and tells how much state a TPM has."""
        if type_ == VARSTORED:
            return "UEFI", _variables(body)
        if type_ in (SWTPM, SWTPM0):
            size = len(body.rstrip(b"=\n")) * 3 // 4 if type_ == SWTPM else length
            return "TPM", f"{size:,} bytes of state"
        return None


XENOPSD_FORMAT = Xenopsd()


def _record(source: Source) -> Event:
    start = source.offset
    try:
        raw = source.read(PAIR.size)
    except Truncated as error:
        error.record = f"{XENOPSD} record header"
        if error.got == 0 and not error.path:
            raise error.reworded("input ends without End_of_image") from error
        raise
    type_, length = PAIR.unpack(raw)
    if length < 0 or type_ not in RECORDS:
        what = f"type {type_:#x} is not known" if length >= 0 else f"a length of {length} bytes"
        raise Malformed(what, offset=start, record=f"{XENOPSD} record header")
    length = 0 if type_ in STREAMS or type_ == DEMU else length
    return _event(source, raw, type_, length)


def _event(source: Source, raw: memoryview, type_: int, length: int) -> Event:
    return Event(
        source, XENOPSD, RECORD, RECORDS[type_], raw, length=length, type_=type_, padded=False
    )


def _stream(source: Source, type_: int, *, stored: bool) -> Iterator[Event]:
    if type_ == LIBXC:
        yield from LIBXC_FORMAT.walk(source)
    elif type_ == LIBXL:
        yield from LIBXL_FORMAT.walk(source)
    else:
        yield from LEGACY_FORMAT.walk(source, stored=stored, nested=False, device_model=False)


def _legacy(source: Source, *, stored: bool) -> Iterator[Event]:
    """Yields a legacy stream, and an HVM guest's device model behind it.

    Raises Truncated where there is none, Malformed where there is something else.
    """
    pv = False
    for event in _stream(source, LIBXC_LEGACY, stored=stored):
        if event.kind == HEADER_KIND and isinstance(event.header, LegacyHeader):
            pv = event.header.pv
        yield event
    if pv:
        return
    start = source.offset
    if source.at_end():
        # restore_common() reads on for every HVM guest.
        raise Truncated(
            "input ends without the device model's state",
            wanted=min(map(len, MODEL_SIGNATURES)) + 4,
            got=0,
            offset=start,
            record=f"{XENOPSD} Qemu_trad",
        )
    longest = max(map(len, MODEL_SIGNATURES))
    head = bytes(source.peek(longest))
    for signature, order in MODEL_SIGNATURES.items():
        if head.startswith(signature):
            raw = source.read(len(signature) + 4)
            length = int.from_bytes(raw[-4:], "big" if order == "big" else "little")
            event = _event(source, raw, QEMU_TRAD, length)
            yield event
            event.finish()
            return
    raise Malformed(
        f"no device model's state: {head!r}", offset=start, record=f"{XENOPSD} Qemu_trad"
    )


def _variables(body: bytes) -> str:
    try:
        variables = varstored.parse(body)
    except XensaveError as error:
        return f"variables that cannot be read: {error.message}"
    return f"{len(variables)} variables: {' '.join(variable.name for variable in variables)}"


def _config(vm: sexp.Sexp) -> dict[str, Json]:
    memory = _number(vm, "memory_static_max")
    return configuration(
        sexp.text(vm, "name"),
        sexp.text(vm, "id"),
        # The constructor that begins `ty`.
        _TYPES.get(sexp.first_word(sexp.field(vm, "ty")).lower()),
        memkb=None if memory is None else memory // 1024,
        vcpus=_number(vm, "vcpu_max"),
    )


def _number(vm: sexp.Sexp, key: str) -> int | None:
    text = sexp.word(sexp.field(vm, key))
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _details(outer: sexp.Sexp, vm: sexp.Sexp) -> Iterator[tuple[str, str]]:
    uuid = sexp.text(vm, "id")
    if uuid:
        yield "uuid", uuid
    time = sexp.text(outer, "time")
    if time:
        yield "suspended", time
    vcpus, most = sexp.text(vm, "vcpus"), sexp.text(vm, "vcpu_max")
    if vcpus:
        yield "vcpus", vcpus if vcpus == most else f"{vcpus} of {most}"
    firmware = sexp.first_word(sexp.field(vm, "ty", "HVM", "firmware"))
    if firmware:
        yield "firmware", firmware
    platform = sexp.field(vm, "platformdata", "device-model")
    if platform:
        yield "device model", sexp.word(platform)
