"""A guest's device model, as libxl's stream carries it."""

from typing import TYPE_CHECKING, NamedTuple

from xensave.container.events import LIBXL
from xensave.container.formats import format_named
from xensave.container.streams import libxl
from xensave.container.streams.libxl import EMULATOR_HEADER_SIZE, EmulatorHeader, parse_xenstore
from xensave.errors import XensaveError
from xensave.image.tally import BufferedRecord, Tally

if TYPE_CHECKING:
    from xensave.container.streams import qemu

_TRADITIONAL = b"QemuDeviceModelRecord"
_LEGACY = b"DeviceModelRecord0002"


class Emulator(NamedTuple):
    """One emulator: its kind, and what was saved of it.

    `instance` tells several of one kind apart. `format` says how the context begins, and
    `version` is that of QEMU's migration stream ("QEVM", then a big-endian 32-bit number; 3
    today), None for other formats. `length` counts the bytes of the context; `state` are
    the first STATE_LIMIT of them (`xensave.image.tally`), and `sections` those of QEMU's stream
    in there, each a device's state.
    """

    kind: str
    instance: int
    format: str
    version: int | None
    length: int
    xenstore: tuple[tuple[str, str], ...]
    sections: "tuple[qemu.Section, ...]" = ()
    state: bytes = b""


def emulators(tally: Tally, *, strict: bool = True) -> tuple[Emulator, ...]:
    """Puts together the state and the EMULATOR_XENSTORE_DATA records of each emulator.

    Raises Malformed for a record that cannot be read; without `strict` it counts for nothing.
    """
    contexts = [
        _as_context(record, format_named(layer).model_head)
        for (layer, type_), records in tally.kept.items()
        if type_ == format_named(layer).device_model
        for record in records
    ]
    stores = tally.all(LIBXL, libxl.EMULATOR_XENSTORE_DATA)
    states: dict[EmulatorHeader, BufferedRecord] = {}
    keys: dict[EmulatorHeader, list[tuple[str, str]]] = {}
    for record in contexts:
        if strict or len(record.body) >= EMULATOR_HEADER_SIZE:
            states[_header(record)] = record
    for record in stores:
        try:
            keys.setdefault(_header(record), []).extend(_pairs(record))
        except XensaveError:
            if strict:
                raise
    return tuple(
        _emulator(header, states.get(header), keys.get(header, []))
        for header in dict.fromkeys([*states, *keys])
    )


def _as_context(record: BufferedRecord, head: bytes) -> BufferedRecord:
    """Returns a record as libxl has it: behind the emulator's kind and instance."""
    return record._replace(
        body=head + record.body,
        body_offset=record.body_offset - len(head),
        length=record.length + len(head),
    )


def _header(record: BufferedRecord) -> EmulatorHeader:
    try:
        return EmulatorHeader.parse(record.body)
    except XensaveError as error:
        error.offset = record.offset
        raise


def _pairs(record: BufferedRecord) -> list[tuple[str, str]]:
    try:
        return parse_xenstore(record.body[EMULATOR_HEADER_SIZE:])
    except XensaveError as error:
        error.offset = record.offset
        raise


def _emulator(
    header: EmulatorHeader, state: BufferedRecord | None, pairs: list[tuple[str, str]]
) -> Emulator:
    data = state.body[EMULATOR_HEADER_SIZE:] if state else b""
    length = state.length - EMULATOR_HEADER_SIZE if state else 0
    format_, version = _format(data) if state else ("none", None)
    return Emulator(
        kind=header.name,
        instance=header.emulator_index,
        format=format_,
        version=version,
        length=length,
        xenstore=tuple(pairs),
        sections=_sections(state),
        state=data,
    )


def _sections(state: BufferedRecord | None) -> "tuple[qemu.Section, ...]":
    if state is None:
        return ()
    from xensave.container.streams import qemu

    data = state.body[EMULATOR_HEADER_SIZE:]
    if not qemu.is_qemu(data):
        return ()
    try:
        return qemu.sections(data)
    except XensaveError as error:
        error.offset = state.offset
        raise


def _format(data: bytes) -> tuple[str, int | None]:
    from xensave.container.streams import qemu

    if qemu.is_qemu(data):
        return "QEMU migration stream", qemu.stream_version(data)
    if data.startswith(_TRADITIONAL):
        return "QemuDeviceModelRecord", None
    if data.startswith(_LEGACY):
        return "DeviceModelRecord0002", None
    return ("unknown" if data else "empty"), None
