"""Rules of xenopsd's suspend images (ocaml/xenopsd/lib/suspend_image.ml, xc/domain.ml).

process_header() passes over the length of what has none, reads the records of devices where they
come, and hands what is in them to QEMU, varstored and swtpm.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from xensave.container.events import XENOPSD, Event
from xensave.container.frames import sexp
from xensave.container.frames import xenopsd as x
from xensave.container.streams import varstored
from xensave.errors import LimitExceeded, XensaveError
from xensave.findings import ERROR, WARNING
from xensave.rules.stream.model import Check, Fault, StreamRule, refused_by
from xensave.rules.stream.state import StreamState

FIRST = StreamRule(
    "XENOPSD_XENOPS_FIRST", ERROR, "A suspend image's first record is that of the VM."
)
ONCE = StreamRule("XENOPSD_STREAM_ONCE", ERROR, "A suspend image has one stream.")
PRESENT = StreamRule(
    "XENOPSD_STREAM_PRESENT",
    ERROR,
    "A suspend image has a stream before its end.",
    refused_by(XENOPSD, "restore_common"),
)
ORDER = StreamRule("XENOPSD_DEVICES_AFTER_STREAM", ERROR, "Devices' state follows the stream.")
LENGTH = StreamRule(
    "XENOPSD_LENGTH_FITS_TYPE", ERROR, "A stream's record, and End_of_image, have no length."
)
READ = StreamRule(
    "XENOPSD_TYPE_READ",
    ERROR,
    "xenopsd reads the record's type: not Libxl, not Qemu_xen.",
    refused_by(XENOPSD, "process_header"),
)
VM = StreamRule(
    "XENOPSD_VM_READABLE",
    ERROR,
    "The VM's record is an s-expression of its fields, the time and the word size among them.",
    refused_by(XENOPSD, "Xenops_record.of_string"),
)
DESCRIBED = StreamRule(
    "XENOPSD_VM_DESCRIBED", ERROR, "The VM's record holds an s-expression of the VM."
)
BOUNDED = StreamRule(
    "XENOPSD_VM_BOUNDED", WARNING, "The VM's record is of a size to be looked into."
)
QEMU_SIZE = StreamRule(
    "XENOPSD_QEMU_BOUNDED",
    ERROR,
    "QEMU's state has at most 1 MiB.",
    refused_by(XENOPSD, "consume_qemu_record"),
)
QEMU = StreamRule("XENOPSD_QEMU_SIGNATURE", WARNING, "QEMU's state begins with QEVM.")
VARIABLES = StreamRule("XENOPSD_VARIABLES_READABLE", ERROR, "varstored's record is UEFI variables.")
TPM = StreamRule("XENOPSD_TPM_BASE64", ERROR, "swtpm's record is base64.")

_DEVICES = (x.QEMU_TRAD, x.QEMU_XEN, x.VARSTORED, x.SWTPM0, x.SWTPM)
_SIGNATURE = b"QEVM"
_FIELDS = {"time", "word_size", "vm_str", "xs_subtree"}
_NUMBER = re.compile(r"-?(0[xXoObBuU])?[0-9a-fA-F][0-9a-fA-F_]*")
TPM_LIMIT = 16 << 20
"""A longer state of swtpm is not looked into; it has some KiB."""


def record(event: Event, state: StreamState) -> Iterator[Fault]:
    """Checks what every record shares: its place, its length, and that it is read at all."""
    if event.type != x.XENOPS and not state.seen(XENOPSD, x.XENOPS) and _structured(state):
        yield Fault(FIRST, "no record of the VM before it")
    if event.type in (x.LIBXL, x.QEMU_XEN):
        yield Fault(READ, f"a record {event.name}: xenopsd refuses the image")
    length = x.PAIR.unpack(event.raw)[1] if len(event.raw) == x.PAIR.size else 0
    if length and (event.type in x.STREAMS or event.type == x.END_OF_IMAGE):
        yield Fault(LENGTH, f"a length of {length} bytes, expected none", event.offset + 8)


def _structured(state: StreamState) -> bool:
    return state.headers.get(XENOPSD) == x.XenopsdHeader(2)


def stream(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that it is the only one."""
    if state.seen(XENOPSD, *x.STREAMS):
        yield Fault(ONCE, "a second stream")


def device(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that the stream came before."""
    if _structured(state) and not state.seen(XENOPSD, *x.STREAMS):
        yield Fault(ORDER, "before the stream, which restores the guest that it belongs to")


def end(_: Event, state: StreamState) -> Iterator[Fault]:
    """Checks that there was a stream."""
    if not state.seen(XENOPSD, *x.STREAMS):
        yield Fault(PRESENT, "End_of_image without a stream before it: there is no guest in it")


def vm(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks the record of the VM."""
    if event.length > sexp.SIZE_LIMIT:
        yield Fault(BOUNDED, f"{event.length} bytes are not looked into")
        return
    body = bytes(event.body())
    try:
        wrong = _misses(sexp.parse(body))
    except LimitExceeded as error:
        yield Fault(BOUNDED, f"{error.message}: it is not looked into", event.body_offset)
        return
    except XensaveError as error:
        wrong = error.message
    if wrong:
        yield Fault(VM, wrong, event.body_offset)
        return
    undescribed = x.XENOPSD_FORMAT.describe(body).wrong
    if isinstance(undescribed, LimitExceeded):
        yield Fault(BOUNDED, f"{undescribed.message}: it is not looked into", event.body_offset)
    elif undescribed is not None:
        yield Fault(DESCRIBED, undescribed.message, event.body_offset)


def _misses(outer: sexp.Sexp) -> str:
    """Returns what the type of the record, as OCaml derives its reader, finds wrong with it."""
    if not isinstance(outer, list):
        return "it is no list of fields"
    names: list[str] = []
    for pair in outer:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            return "it is no list of fields"
        names.append(pair[0])
    odd = [name for name in names if name not in _FIELDS or names.count(name) > 1]
    if odd:
        return f"it has a field {odd[0]} that it may not have, or has it twice"
    texts = {name: sexp.text(outer, name) for name in ("time", "word_size")}
    absent = [name for name in texts if name not in names]
    if absent:
        return f"it has no field {absent[0]}"
    return "" if _NUMBER.fullmatch(texts["word_size"]) else "its word size is no number"


def qemu(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks QEMU's state: its length and its first bytes."""
    if event.length > x.QEMU_LIMIT:
        yield Fault(QEMU_SIZE, f"{event.length} bytes, xenopsd takes {x.QEMU_LIMIT} at most")
    head = bytes(event.prefix(len(_SIGNATURE)))
    if head != _SIGNATURE:
        yield Fault(QEMU, f"begins with {head!r}", event.body_offset)


def variables(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks varstored's record."""
    if event.length > varstored.SIZE_LIMIT:
        yield Fault(VARIABLES, f"{event.length} bytes, varstored takes {varstored.SIZE_LIMIT}")
        return
    try:
        varstored.parse(event.body())
    except XensaveError as error:
        yield Fault(VARIABLES, error.message, event.body_offset)


def tpm(event: Event, _: StreamState) -> Iterator[Fault]:
    """Checks swtpm's record."""
    if event.length > TPM_LIMIT:
        yield Fault(TPM, f"{event.length} bytes are no state of a TPM")
        return
    try:
        base64.b64decode(bytes(event.body()).strip(), validate=True)
    except binascii.Error as error:
        yield Fault(TPM, str(error), event.body_offset)


# fmt: off
CHECKS = (
    Check(XENOPSD, (x.XENOPS,), vm, (VM, BOUNDED, DESCRIBED)),
    Check(XENOPSD, tuple(x.STREAMS), stream, (ONCE,)),
    Check(XENOPSD, _DEVICES, device, (ORDER,)),
    Check(XENOPSD, (x.QEMU_TRAD,), qemu, (QEMU_SIZE, QEMU)),
    Check(XENOPSD, (x.VARSTORED,), variables, (VARIABLES,)),
    Check(XENOPSD, (x.SWTPM,), tpm, (TPM,)),
    Check(XENOPSD, (x.END_OF_IMAGE,), end, (PRESENT,)),
    Check(XENOPSD, None, record, (FIRST, LENGTH, READ)),
)
# fmt: on
