"""X86_PV_VCPU_BASIC: arch_set_info_guest(), which XEN_DOMCTL_setvcpucontext calls."""

from __future__ import annotations

from collections.abc import Callable

from xensave.catalogue.model import Cite
from xensave.container.streams.libxc_records import VCPU_CONTEXT_SIZES
from xensave.engine.loop.machine import Machine
from xensave.engine.pv.descriptors import FIRST_RESERVED, wrong_pages
from xensave.engine.pv.frames import frames_of, gdt_of, start_info
from xensave.engine.pv.memory import PvMemory
from xensave.engine.pv.rule import BASIC, PvRecord, PvRule
from xensave.engine.verdict import Layer

_FUNCTION = "arch_set_info_guest"
_PAGE_MASK = 0xFFF
_LDT_MAX = 8192
_TRAPS = 256
_VGCF_IN_KERNEL = 1 << 2
_EFLAGS_VM = 1 << 17
_PRESENT = 1
_XEN_START, _XEN_END = 1 << 47, 0xFFFF_8800_0000_0000
_ASSIST_32 = 0x3F
_ASSIST_64 = _ASSIST_32 | 1 << 32

_CALLBACKS = ("event_callback_eip", "syscall_callback_eip", "failsafe_callback_eip")
_BASES = ("user_regs.rsp", "kernel_sp", "fs_base", "gs_base_kernel", "gs_base_user")


def is_canonical(address: int) -> bool:
    """Tells whether a 64-bit address is one that a CPU with 48 address bits takes.

    >>> is_canonical(0xFFFF800000000000), is_canonical(0x800000000000)
    (True, False)
    """
    return address >> 47 in (0, 0x1FFFF)


def number(record: PvRecord, machine: Machine) -> str | None:
    """Refuses records of a vCPU that the domain does not have."""
    wrong = record.vcpu >= record.guest.vcpus
    return f"vCPU {record.vcpu} of a domain with {record.guest.vcpus}" if wrong else None


def size(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a context of another size than the guest's width has."""
    have, want = len(record.content), VCPU_CONTEXT_SIZES[record.guest.bits]
    return f"{have} bytes, expected {want}" if have != want else None


def frames(record: PvRecord, machine: Machine) -> str | None:
    """Refuses frames that are not there, or not of the type that their use wants."""
    if record.memory is None:
        return None
    wrong = start_info(record, record.memory) if record.vcpu == 0 else None
    return wrong or frames_of(record, record.memory)


def gdt_count(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a GDT that reaches into Xen's own entries."""
    count = record["gdt_ents"]
    return f"gdt_ents is {count}, at most {FIRST_RESERVED}" if count > FIRST_RESERVED else None


def descriptors(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a GDT with a descriptor that Xen does not take."""
    if not isinstance(record.memory, PvMemory):
        return None
    return wrong_pages(record.memory, gdt_of(record), record.guest.bits)


def canonical(*paths: str) -> Callable[[PvRecord, Machine], str | None]:
    """Returns the test that addresses are canonical."""

    def test(record: PvRecord, machine: Machine) -> str | None:
        wrong = (path for path in paths if not is_canonical(record[path]))
        return next((f"{path} is {record[path]:#x}" for path in wrong), None)

    return test


def stacks_and_bases(record: PvRecord, machine: Machine) -> str | None:
    """Refuses stacks and segment bases that are not canonical, and an LDT's base if it has any."""
    ldt = ("ldt_base",) if record["ldt_ents"] else ()
    return canonical(*_BASES, *ldt)(record, machine)


def ldt_in_xen(record: PvRecord, machine: Machine) -> str | None:
    """Refuses an LDT in Xen's own part of the address space."""
    base = record["ldt_base"]
    return f"ldt_base is {base:#x}" if _XEN_START <= base < _XEN_END else None


def ldt(record: PvRecord, machine: Machine) -> str | None:
    """Refuses an LDT that begins within a page, or is too long."""
    base, count = record["ldt_base"], record["ldt_ents"]
    if base & _PAGE_MASK or count > _LDT_MAX:
        return f"ldt_base is {base:#x}, ldt_ents {count}"
    return None


def assists(record: PvRecord, machine: Machine) -> str | None:
    """Refuses VM assists of vCPU 0 that Xen does not know."""
    known = _ASSIST_64 if record.guest.bits == 64 else _ASSIST_32
    value = record["vm_assist"]
    if record.vcpu or not value & ~known:
        return None
    return f"vm_assist is {value:#x}, known are {known:#x}"


def user_table(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a vCPU in user mode without a page table of its own for it."""
    if record["flags"] & _VGCF_IN_KERNEL or record["ctrlreg[1]"]:
        return None
    return f"flags are {record['flags']:#x} and ctrlreg[1] is 0"


def user_frame(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a user page table that libxc passes on as it is: a frame of the source's host."""
    value = record["ctrlreg[1]"]
    if not value or value & _PRESENT:
        return None
    return f"ctrlreg[1] is {value:#x}: with bit 0 clear it names a frame of the machine's"


def debug_control(record: PvRecord, machine: Machine) -> str | None:
    """Refuses upper halves of DR6 and DR7 that are not zero."""
    dr6, dr7 = record["debugreg[6]"], record["debugreg[7]"]
    return f"dr6 is {dr6:#x}, dr7 {dr7:#x}" if dr6 >> 32 or dr7 >> 32 else None


def breakpoints(record: PvRecord, machine: Machine) -> str | None:
    """Refuses breakpoints in Xen's own part of the address space."""
    for number in range(4):
        address = record[f"debugreg[{number}]"]
        if _XEN_START <= address < _XEN_END:
            return f"dr{number} is {address:#x}"
    return None


def virtual_8086(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a 32-bit guest's vCPU in virtual 8086 mode."""
    flags = record["user_regs.eflags"]
    return f"eflags are {flags:#x}" if flags & _EFLAGS_VM else None


NUMBER = PvRule(
    id="PV_VCPU_NUMBER",
    record=BASIC,
    errno="",
    sentence="records are of vCPUs of the domain",
    test=number,
    layer=Layer.LIBXC,
    cite=Cite("handle_x86_pv_vcpu_blob"),
)
RULES = (
    NUMBER,
    PvRule(
        id="PV_BASIC_SIZE",
        record=BASIC,
        errno="",
        sentence="a context has the size of the guest's width",
        test=size,
        layer=Layer.LIBXC,
        cite=Cite("handle_x86_pv_vcpu_blob"),
    ),
    PvRule(
        id="PV_FRAMES",
        record=BASIC,
        errno="",
        sentence="start info, XenStore and console pages, GDT and page tables are there",
        test=frames,
        layer=Layer.LIBXC,
        cite=Cite("process_vcpu_basic"),
    ),
    PvRule(
        id="PV_GDT_COUNT",
        record=BASIC,
        errno="ERANGE",
        sentence="a GDT has at most 7168 entries of the guest's own",
        test=gdt_count,
        layer=Layer.LIBXC,
        cite=Cite("process_vcpu_basic"),
    ),
    PvRule(
        id="PV_DR67",
        record=BASIC,
        errno="EINVAL",
        sentence="DR6 and DR7 have 32 bits",
        test=debug_control,
        cite=Cite(
            _FUNCTION,
            "15987cb03f",
            "x86: Reject bad %dr6/%dr7 values when loading guest state",
            "4.18",
        ),
        since=("4.18.0",),
        bits=64,
    ),
    PvRule(
        id="PV_BREAKPOINTS",
        record=BASIC,
        errno="EINVAL",
        sentence="breakpoints do not lie in Xen",
        test=breakpoints,
        cite=Cite(
            _FUNCTION,
            "dc9d9aa62d",
            "x86/pv: Correct the auditing of guest breakpoint addresses",
            "4.18",
        ),
        since=("4.18.0",),
    ),
    PvRule(
        id="PV_ENTRY_CANONICAL",
        record=BASIC,
        errno="EINVAL",
        sentence="entry points are canonical",
        test=canonical("user_regs.rip", *_CALLBACKS),
        cite=Cite(_FUNCTION),
        bits=64,
    ),
    PvRule(
        id="PV_BASES_CANONICAL",
        record=BASIC,
        errno="EINVAL",
        sentence="stacks and segment bases are canonical",
        test=stacks_and_bases,
        cite=Cite(
            _FUNCTION,
            "f3fa3abf3e",
            "x86/PV: writes of %fs and %gs base MSRs require canonical addresses",
            "4.8",
        ),
        since=("4.6.5", "4.7.2", "4.8.0"),
        bits=64,
    ),
    PvRule(
        id="PV_TRAPS_CANONICAL",
        record=BASIC,
        errno="EINVAL",
        sentence="trap handlers are canonical",
        test=canonical(*(f"trap_ctxt[{n}].address" for n in range(_TRAPS))),
        cite=Cite(_FUNCTION),
        bits=64,
    ),
    PvRule(
        id="PV_LDT_IN_XEN",
        record=BASIC,
        errno="EINVAL",
        sentence="an LDT does not lie in Xen",
        test=ldt_in_xen,
        cite=Cite(_FUNCTION, "40d66baa46", "x86: correct LDT checks", "4.4"),
        bits=64,
    ),
    PvRule(
        id="PV_VM86",
        record=BASIC,
        errno="EINVAL",
        sentence="a 32-bit guest is not in virtual 8086 mode",
        test=virtual_8086,
        cite=Cite(_FUNCTION, "dbd936248f", "x86: Clamp bits in eflags more aggressively", "4.22"),
        since=("4.21.1", "4.22.0"),
        bits=32,
    ),
    PvRule(
        id="PV_LDT",
        record=BASIC,
        errno="EINVAL",
        sentence="an LDT begins with a page and has at most 8192 entries",
        test=ldt,
        cite=Cite(_FUNCTION, "40d66baa46", "x86: correct LDT checks", "4.4"),
    ),
    PvRule(
        id="PV_VM_ASSIST",
        record=BASIC,
        errno="EINVAL",
        sentence="VM assists are known",
        test=assists,
        cite=Cite(
            _FUNCTION,
            "a62c6fe05c",
            "x86: validate VM assist value in arch_set_info_guest()",
            "4.14",
        ),
        since=("4.12.3", "4.13.1", "4.14.0"),
    ),
    PvRule(
        id="PV_USER_TABLE",
        record=BASIC,
        errno="EINVAL",
        sentence="user mode has a page table",
        test=user_table,
        cite=Cite(_FUNCTION),
        bits=64,
    ),
    PvRule(
        id="PV_GDT_DESCRIPTORS",
        record=BASIC,
        errno="EINVAL",
        sentence="descriptors are of code, of data, or call gates to the guest's own code",
        test=descriptors,
        cite=Cite("check_descriptor"),
    ),
    PvRule(
        id="PV_USER_FRAME",
        record=BASIC,
        errno="EINVAL",
        sentence="the page table of user mode is a frame of the guest's",
        test=user_frame,
        cite=Cite(_FUNCTION),
        bits=64,
    ),
)
