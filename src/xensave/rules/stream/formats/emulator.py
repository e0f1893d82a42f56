"""Rules of libxl's emulator records."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xensave.container.events import LIBXL, Event
from xensave.container.streams import libxc, libxl, qemu
from xensave.errors import LimitExceeded, Malformed
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.stream.model import Fault, StreamRule, refused_by
from xensave.rules.stream.state import StreamState

_XENSTORE_DATA = refused_by(LIBXL, "libxl__restore_emulator_xenstore_data")
HEADER = StreamRule(
    "LIBXL_EMULATOR_HEADER_COMPLETE",
    ERROR,
    "An emulator record begins with 8 bytes.",
    refused_by(LIBXL, "process_record"),
)
KNOWN = StreamRule("LIBXL_EMULATOR_ID_KNOWN", ERROR, "The emulator's id is 0, 1 or 2.")
HVM_ONLY = StreamRule(
    "LIBXL_EMULATOR_HVM_ONLY",
    ERROR,
    "Only HVM guests have emulators.",
    refused_by(
        LIBXL,
        "process_record",
        "ef284a9693",
        'libxl: remove device model "none" support from stream functions',
        "4.10",
        since=("4.10",),
    ),
)
TERMINATED = StreamRule(
    "LIBXL_XENSTORE_TERMINATED", ERROR, "Xenstore data ends in NUL.", _XENSTORE_DATA
)
PAIRED = StreamRule(
    "LIBXL_XENSTORE_PAIRED", ERROR, "Xenstore data is keys with values.", _XENSTORE_DATA
)
RELATIVE = StreamRule(
    "LIBXL_XENSTORE_KEY_RELATIVE",
    ERROR,
    "A key is a relative path that is not empty.",
    _XENSTORE_DATA,
)
KEYS = StreamRule("LIBXL_XENSTORE_KEY_CHARACTERS", WARNING, "Keys consist of A-Z a-z 0-9 - / _ @.")
PRESENT = StreamRule(
    "LIBXL_EMULATOR_CONTEXT_PRESENT", NOTE, "The stream of an HVM guest has its device model."
)
QEMU = StreamRule("LIBXL_EMULATOR_STATE_QEMU", NOTE, "QEMU's state is a stream of its version 3.")
SIZE = StreamRule("LIBXL_XENSTORE_BOUNDED", NOTE, "Xenstore data is of a size to be looked into.")

_KEY = re.compile(r"[A-Za-z0-9/_@-]+\Z")


def header(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks the sub-header, and that the guest is of a kind that has emulators."""
    kind = "pv" if state.guest == libxc.PV else state.configured
    if kind in ("pv", "pvh"):
        yield Fault(HVM_ONLY, f"an emulator's record of a {kind.upper()} guest: libxl refuses it")
    if event.length < libxl.EMULATOR_HEADER_SIZE:
        yield Fault(HEADER, f"{event.length} bytes, at least {libxl.EMULATOR_HEADER_SIZE} expected")
        return
    head = libxl.EmulatorHeader.parse(event.prefix(libxl.EMULATOR_HEADER_SIZE))
    if head.emulator_id not in libxl.EMULATORS:
        yield Fault(KNOWN, f"emulator id {head.emulator_id:#x}, expected 0 - 2", event.body_offset)


def state(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks how the state of a QEMU of today begins."""
    body = bytes(event.prefix(libxl.EMULATOR_HEADER_SIZE + len(qemu.MAGIC) + 4))
    data = body[libxl.EMULATOR_HEADER_SIZE :]
    if len(body) < libxl.EMULATOR_HEADER_SIZE:
        return
    if libxl.EmulatorHeader.parse(body).emulator_id == libxl.QEMU_TRADITIONAL:
        return
    if not qemu.is_qemu(data) or qemu.stream_version(data) != qemu.VERSION:
        yield Fault(QEMU, f"begins with {data.hex(' ')}: QEMU refuses it", event.body_offset)


def end(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that an HVM guest's device model came before the end."""
    hvm = state.guest == libxc.HVM and state.configured in ("", "hvm")
    if hvm and not state.seen(LIBXL, libxl.EMULATOR_CONTEXT):
        yield Fault(PRESENT, "no EMULATOR_CONTEXT before it: only a PVH guest has none")


def xenstore(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the keys and values."""
    if event.length > libxl.XENSTORE_LIMIT:
        yield Fault(SIZE, f"{event.length} bytes are not looked into")
        return
    data = bytes(event.body()[libxl.EMULATOR_HEADER_SIZE :])
    if data and data[-1]:
        yield Fault(TERMINATED, "the last byte is not NUL", event.body_offset + event.length - 1)
        return
    try:
        pairs = libxl.parse_xenstore(data)
    except Malformed as error:
        yield Fault(PAIRED, error.message)
        return
    except LimitExceeded as error:
        yield Fault(SIZE, f"{error.message} are not looked into")
        return
    if any(not key or key.startswith("/") for key, _value in pairs):
        yield Fault(RELATIVE, "a key is empty or absolute")
    strange = [key for key, _value in pairs if not _KEY.match(key)]
    if strange:
        others = f", and {len(strange) - 1:,} other keys" if len(strange) > 1 else ""
        yield Fault(KEYS, f"key {strange[0][:64]!r} has other characters{others}")
