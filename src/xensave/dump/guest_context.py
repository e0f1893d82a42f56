"""vcpu_guest_context: a vCPU as Xen's toolstack sees it, of a PV guest or made of a CPU record.

What it holds of an HVM vCPU is what arch_get_info_guest() (xen/arch/x86/domctl.c) fills in.
"""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.events import LIBXC
from xensave.container.streams.libxc import X86_PV_VCPU_BASIC
from xensave.container.streams.libxc_records import PAIR, VCPU_CONTEXT_SIZES
from xensave.context import ContextRecord
from xensave.image import Image
from xensave.image.memory.vcpu import VCPU_BASIC, hvm_registers, pv_bodies
from xensave.records.codec import decode, encode
from xensave.records.flat import locate
from xensave.records.meaning.bits import FPU_INITIALISED
from xensave.records.stream import stream_layout
from xensave.records.values import Value, put

CONTEXT_SIZE = VCPU_CONTEXT_SIZES[64]
"""sizeof(vcpu_guest_context_any_t): that of a 64-bit guest, for a 32-bit one too."""

VGCF_I387_VALID = 1 << 0
VGCF_ONLINE = 1 << 5

_GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *(f"r{n}" for n in range(8, 16)),
    *("rip", "rflags", "cs", "ss", "ds", "es", "fs", "gs"),
)
_CONTROL = {0: "cr0", 2: "cr2", 3: "cr3", 4: "cr4"}
_DEBUG = {0: "dr0", 1: "dr1", 2: "dr2", 3: "dr3", 6: "dr6", 7: "dr7"}
_RING = 3
_USER_ROOT_SAVED = 1 << 0
_ROOT_SIZE = 8


def guest_contexts(image: Image) -> Iterator[bytes]:
    """Yields the context of each vCPU that was saved, CONTEXT_SIZE bytes each."""
    if image.type == "pv":
        bodies = pv_bodies(image.tally.all(LIBXC, X86_PV_VCPU_BASIC))
        for number in sorted(bodies):
            yield _pv_context(bodies[number][PAIR.size :])
        return
    for number in image.vcpu_numbers:
        yield hvm_context(image.context["CPU", number])


def _pv_context(body: bytes) -> bytes:
    """Returns the context in an X86_PV_VCPU_BASIC record, without the mark on its user root.

    libxc sets bit 0 of a 64-bit guest's ctrlreg[1] in a stream, to tell frame 0 from none, and
    clears it in a restore (write_one_vcpu_basic() in tools/libs/guest/xg_sr_save_x86_pv.c).
    """
    context = bytearray(body.ljust(CONTEXT_SIZE, b"\0")[:CONTEXT_SIZE])
    layout = stream_layout(VCPU_BASIC, PAIR.size + len(body))
    assert layout is not None, VCPU_BASIC
    root = locate(layout.fields, "ctrlreg[1]")
    if root.size == _ROOT_SIZE:
        context[root.start - PAIR.size] &= ~_USER_ROOT_SAVED & 0xFF
    return bytes(context)


def hvm_context(record: ContextRecord) -> bytes:
    """Returns the context of an HVM vCPU's CPU record."""
    layout = stream_layout(VCPU_BASIC, PAIR.size + CONTEXT_SIZE)
    assert layout is not None, VCPU_BASIC
    registers = hvm_registers(record)._asdict()
    values = decode(layout, bytes(PAIR.size + CONTEXT_SIZE))
    kernel = not registers["cs"] & _RING
    bases = (registers["gs_base"], registers["kernel_gs_base"])
    in_kernel, in_user = bases if kernel else bases[::-1]
    fpu = record.integer("flags") & FPU_INITIALISED if "flags" in record.values else 1
    fields: dict[str, Value] = {
        "fpu_ctxt": record.octets("fpu_regs"),
        "flags": VGCF_ONLINE | (VGCF_I387_VALID if fpu else 0),
        "fs_base": registers["fs_base"],
        "gs_base_kernel": in_kernel,
        "gs_base_user": in_user,
    }
    fields |= {f"user_regs.{name}": registers[name] for name in _GENERAL}
    fields |= {f"ctrlreg[{number}]": registers[name] for number, name in _CONTROL.items()}
    fields |= {f"debugreg[{number}]": registers[name] for number, name in _DEBUG.items()}
    for path, value in fields.items():
        put(values, path, value)
    return encode(layout, values)[PAIR.size :]
