"""A plausible context of a release: a small guest that runs, one record of each kind.

It is made from the catalogue's layouts, so that it is of just the sizes that the release writes.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

from xensave import catalogue
from xensave.catalogue.dates import newest
from xensave.catalogue.model import Binding
from xensave.container.streams import hvm
from xensave.engine.domain import HVM, Domain, DomainType
from xensave.engine.handlers.table import SPECS
from xensave.records.codec import encode
from xensave.records.meaning.cpu.area import FP_SSE
from xensave.records.values import Value

Fields: TypeAlias = "dict[str, Value]"

_PROTECTED_MODE = 0x80000011
_CODE, _DATA, _TASK, _TABLE = 0xC9B, 0xC93, 0x8B, 0x82
_FLAT = 0xFFFFFFFF
_CHANNEL: Fields = {"count": 0x10000, "rw_mode": 3, "mode": 2, "gate": 1}

_SEGMENTS: Fields = {
    **{f"{name}_limit": _FLAT for name in ("cs", "ds", "es", "fs", "gs", "ss")},
    **{f"{name}_arbytes": _DATA for name in ("ds", "es", "fs", "gs", "ss")},
    "cs_arbytes": _CODE,
    "tr_arbytes": _TASK,
    "ldtr_arbytes": _TABLE,
}

# What a record's fields are, where not zero.
_FIELDS: dict[str, Fields] = {
    "HEADER": {"magic": hvm.HEADER_MAGIC, "version": hvm.HEADER_VERSION, "cpuid": 0x60FB1},
    "CPU": {
        "rip": 0x100000,
        "rsp": 0x90000,
        "rflags": 0x2,
        "cr0": _PROTECTED_MODE,
        "dr6": 0xFFFF0FF0,
        "dr7": 0x400,
        "flags": 1,
        **_SEGMENTS,
    },
    "IOAPIC": {"base_address": 0xFEC00000},
    "LAPIC": {"apic_base_msr": 0xFEE00900},
    "PIT": {"channels": [dict(_CHANNEL), dict(_CHANNEL), dict(_CHANNEL)]},
    "MTRR": {
        "msr_pat_cr": 0x0007040600070406,
        "msr_mtrr_cap": 0x508,
        "msr_mtrr_def_type": 0xC06,
    },
    "CPU_XSAVE": {"xfeature_mask": 0x7, "xcr0": FP_SSE, "xcr0_accum": FP_SSE},
    "VMCE_VCPU": {"caps": 2},
}
_MASTER_PIC: Fields = {"is_master": 1, "irq_base": 8, "elcr": 4}
_SLAVE_PIC: Fields = {"irq_base": 0x70}
# Xen writes these only for guests that use what they hold.
_OPTIONAL = frozenset(("CPU_MSR", "VIRIDIAN", "VIRIDIAN_DOMAIN", "VIRIDIAN_VCPU"))


@cache
def typical_context(release: str, kind: DomainType = HVM) -> bytes:
    """Returns the context of a guest of one vCPU in protected mode, as the release writes it.

    >>> from xensave.context import Context
    >>> context = Context.parse(typical_context("4.14"), release="4.14")
    >>> len(context), context["RTC", 0].length
    (19, 24)
    """
    bindings = {binding.name: binding for binding in newest(release).bindings}
    domain = Domain(kind)
    entries = [_entry(bindings["HEADER"], 0)]
    for binding in sorted(bindings.values(), key=lambda binding: binding.typecode):
        if binding.name in _OPTIONAL or not binding.handler:
            continue
        device = SPECS[binding.name].device if binding.name in SPECS else None
        if device is not None and domain.lacks(device):
            continue
        entries += [_entry(binding, instance) for instance in range(max(1, binding.instances))]
    entries.append(hvm.Entry(hvm.END_TYPECODE, 0, b""))
    return hvm.pack_entries(entries)


def _entry(binding: Binding, instance: int) -> hvm.Entry:
    layout = catalogue.layout(binding.layout)
    fields = dict(_FIELDS.get(binding.name, {}))
    if binding.name == "PIC":
        fields = dict(_SLAVE_PIC if instance else _MASTER_PIC)
    known = {field.name for field in layout.fields} | {""}
    chosen: Fields = {name: value for name, value in fields.items() if name in known}
    return hvm.Entry(binding.typecode, instance, encode(layout, chosen))
