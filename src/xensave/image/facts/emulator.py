"""A guest's device model, as libxl's stream carries it."""

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, NamedTuple

from xensave.container.events import LIBXL
from xensave.container.formats import format_named
from xensave.container.streams import libxl
from xensave.container.streams.libxl import (
    EMULATOR_HEADER_SIZE,
    EmulatorHeader,
    parse_xenstore,
    too_many_keys,
)
from xensave.errors import XensaveError
from xensave.image.tally import BufferedRecord, Tally

if TYPE_CHECKING:
    from xensave.container.streams import qemu

_OTHERS = ("QemuDeviceModelRecord", "DeviceModelRecord0002")
"""How the contexts of older device models begin: QEMU traditional's, and libxc's own of QEMU's."""


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
    sections: "tuple[qemu.QemuSection, ...]" = ()
    state: bytes = b""


def emulators(tally: Tally, *, strict: bool = True) -> tuple[Emulator, ...]:
    """Puts together the state and the EMULATOR_XENSTORE_DATA records of each emulator.

    Raises Malformed for a record that cannot be read, LimitExceeded for more keys than KEYS_LIMIT
    of libxl's streams; without `strict` it counts for nothing.
    """
    contexts = [
        _as_context(record, format_named(layer).model_head)
        for (layer, type_), records in tally.buffered.items()
        if type_ == format_named(layer).device_model
        for record in records
    ]
    stores = tally.all(LIBXL, libxl.EMULATOR_XENSTORE_DATA)
    states: dict[EmulatorHeader, BufferedRecord] = {}
    keys: dict[EmulatorHeader, list[tuple[str, str]]] = {}
    left = libxl.KEYS_LIMIT
    for record in contexts:
        if strict or len(record.body) >= EMULATOR_HEADER_SIZE:
            with record.placed():
                states[EmulatorHeader.parse(record.body)] = record
    for record in stores:
        with nullcontext() if strict else suppress(XensaveError), record.placed():
            header = EmulatorHeader.parse(record.body)
            pairs = parse_xenstore(record.body[EMULATOR_HEADER_SIZE:])
            left -= len(pairs)
            if left < 0:
                raise too_many_keys()
            keys.setdefault(header, []).extend(pairs)
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


def _emulator(
    header: EmulatorHeader, state: BufferedRecord | None, pairs: list[tuple[str, str]]
) -> Emulator:
    whole = Emulator(header.name, header.emulator_index, "none", None, 0, tuple(pairs))
    if state is None:
        return whole
    data = state.body[EMULATOR_HEADER_SIZE:]
    whole = whole._replace(length=state.length - EMULATOR_HEADER_SIZE, state=data)
    from xensave.container.streams import qemu

    if not qemu.is_qemu(data):
        return whole._replace(format=_format(data))
    with state.placed():
        return whole._replace(
            format="QEMU migration stream",
            version=qemu.stream_version(data),
            sections=qemu.sections(data),
        )


def _format(data: bytes) -> str:
    for format_ in _OTHERS:
        if data.startswith(format_.encode()):
            return format_
    return "unknown" if data else "empty"
