"""X86_PV_VCPU_EXTENDED: XEN_DOMCTL_set_ext_vcpucontext."""

from __future__ import annotations

from xensave.catalogue.model import Cite
from xensave.engine.handlers.vcpu import mca_capabilities
from xensave.engine.loop.machine import Machine
from xensave.engine.pv.basic import NUMBER, canonical
from xensave.engine.pv.rule import EXTENDED, PvRecord, PvRule
from xensave.engine.verdict import Layer

_CITE = Cite("arch_do_domctl")
_VMCE_AT = 32
_CAPS_SIZE = 8
_MOST = 128


def number(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a number in the content that no vCPU has."""
    vcpu = record["vcpu"]
    return f"vcpu is {vcpu} of {record.guest.vcpus}" if vcpu >= record.guest.vcpus else None


def most(record: PvRecord, machine: Machine) -> str | None:
    """Refuses more than the hypercall's argument holds."""
    have = len(record.content)
    return f"{have} bytes, at most {_MOST}" if have > _MOST else None


def short(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a record that ends before what Xen reads: libxc's stack fills it up."""
    wanted = _VMCE_AT + (_CAPS_SIZE if record["size"] > _VMCE_AT else 0)
    have = len(record.content)
    return f"{have} bytes, Xen reads {wanted}: the rest is chance" if have < wanted else None


def size(record: PvRecord, machine: Machine) -> str | None:
    """Refuses a size that ends before the machine check registers."""
    value = record["size"]
    return f"size is {value}, at least {_VMCE_AT}" if value < _VMCE_AT else None


def capabilities(record: PvRecord, machine: Machine) -> str | None:
    """Refuses machine check capabilities that Xen does not give a guest."""
    if record["size"] < _VMCE_AT + _CAPS_SIZE:
        return None
    known = mca_capabilities(machine)
    caps = record["mcg_cap"]
    return f"mcg_cap is {caps:#x}, supported {known:#x}" if caps & ~known else None


RULES = (
    NUMBER._replace(record=EXTENDED),
    PvRule(
        id="PV_EXTENDED_MOST",
        record=EXTENDED,
        errno="",
        sentence="it has at most 128 bytes",
        test=most,
        layer=Layer.LIBXC,
        cite=Cite("handle_x86_pv_vcpu_blob"),
    ),
    PvRule(
        id="PV_EXTENDED_SHORT",
        record=EXTENDED,
        errno="EINVAL",
        sentence="it holds what Xen reads of it; else libxc's stack does, and Xen refuses that",
        test=short,
        cite=Cite(
            "process_vcpu_extended",
            "b24a0f3c5e",
            "tools: Remove all DECLARE_* op macros in xc",
            "4.19",
        ),
        until=("4.19",),
    ),
    PvRule(
        id="PV_EXTENDED_VCPU",
        record=EXTENDED,
        errno="ESRCH",
        sentence="it is of a vCPU of the domain",
        test=number,
        cite=_CITE,
    ),
    PvRule(
        id="PV_EXTENDED_SIZE",
        record=EXTENDED,
        errno="EINVAL",
        sentence="it reaches the machine check registers",
        test=size,
        cite=_CITE,
    ),
    PvRule(
        id="PV_CALLBACKS_CANONICAL",
        record=EXTENDED,
        errno="EINVAL",
        sentence="callbacks are canonical",
        test=canonical("sysenter_callback_eip", "syscall32_callback_eip"),
        cite=_CITE,
    ),
    PvRule(
        id="PV_MCG_CAP",
        record=EXTENDED,
        errno="EINVAL",
        sentence="machine check capabilities are ones of a guest",
        test=capabilities,
        cite=Cite("vmce_restore_vcpu"),
    ),
)
