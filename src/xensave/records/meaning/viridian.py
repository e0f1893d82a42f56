"""Viridian (Hyper-V) state: the guest's identity and the pages and timers it set up.

Source: Hypervisor Top Level Functional Specification 6.0b, 2.6 and 12; HVM_PARAM_VIRIDIAN in
xen/include/public/hvm/params.h.
"""

from __future__ import annotations

from xensave.records.meaning.bits import register

# The groups of HVM_PARAM_VIRIDIAN (HVMPV_*).
GROUPS = register(
    "base_freq:0 no_freq:1 time_ref_count:2 reference_tsc:3 hcall_remote_tlb_flush:4"
    " apic_assist:5 crash_ctl:6 synic:7 stimer:8 hcall_ipi:9 ex_processor_masks:10"
    " no_vp_limit:11 cpu_hotplug:12"
)
STIMER_CONFIG = register(
    "enabled:0 periodic:1 lazy:2 auto-enable:3 vector:4-11 direct:12 SINT:16-19"
)
SINT = register("vector:0-7 masked:16 auto-EOI:17 polling:18")

_OPEN = {1: "Linux", 2: "FreeBSD", 3: "Xen", 4: "Illumos"}
_MICROSOFT = {1: "MS-DOS", 2: "Windows 3.x", 3: "Windows 9x", 4: "Windows NT", 5: "Windows CE"}


def guest_os(value: int) -> str:
    """Says which system a guest OS identity names.

    >>> guest_os(0x0001040A00000000 | 0x4A61), guest_os(0x8100000000000000), guest_os(0)
    ('Windows NT 10.0, build 19041', 'Linux 0.0', 'none')
    """
    if value == 0:
        return "none"
    if value >> 63:
        kind = value >> 56 & 0x7F
        version = value >> 16 & 0xFFFFFFFF
        return f"{_OPEN.get(kind, f'open source {kind}')} {version >> 16}.{version >> 8 & 0xFF}"
    vendor = value >> 48 & 0x7FFF
    system = value >> 40 & 0xFF
    name = _MICROSOFT.get(system, f"system {system}") if vendor == 1 else f"vendor {vendor}"
    major, minor, service = value >> 32 & 0xFF, value >> 24 & 0xFF, value >> 16 & 0xFF
    pack = f" SP{service}" if service else ""
    return f"{name} {major}.{minor}{pack}, build {value & 0xFFFF}"
