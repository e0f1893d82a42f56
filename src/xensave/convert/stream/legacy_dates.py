"""Since when a legacy stream, and what wraps it, has which parts."""

from __future__ import annotations

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.container.streams.legacy import chunks as c

_RINGS = ("770d1e858d", "Use a reserved pfn in the guest address space to store mem event rings")
_SERVERS = ("434ae6517a", "ioreq-server: add support for multiple servers")

_CHUNKS: tuple[tuple[int, str, str, str], ...] = (
    (c.IDENT_PT, "a1d529a86b", "hvm: Fix the realmode live migration issue with Intel EPT", "3.3"),
    (c.VM86_TSS, "8d4638d15e", "Use virtual 8086 mode for VMX guests with CR0.PE == 0", "3.4"),
    (
        c.TSC_INFO,
        "08a0b4ab0d",
        "Replace tsc_native config option with tsc_mode config option",
        "4.0",
    ),
    (c.CONSOLE_PFN, "c4ebe46529", "PV console for HVM domains", "4.1"),
    (
        c.LAST_CHECKPOINT,
        "00a4b65f85",
        "libxc: provide notification of final checkpoint to restore end",
        "4.1",
    ),
    (
        c.ACPI_IOPORTS_LOCATION,
        "a6aa655723",
        "libxc: Save the HVM_PARAM_ACPI_IOPORTS_LOCATION",
        "4.1",
    ),
    (c.VIRIDIAN, "26ddefddf0", "Fix save/restore for HVM domains with viridian=1", "4.2"),
    (
        c.GENERATION_ID_ADDR,
        "8f76fc6c98",
        "tools: VM generation ID save/restore and migrate.",
        "4.2",
    ),
    (c.PAGING_RING_PFN, *_RINGS, "4.2"),
    (c.MONITOR_RING_PFN, *_RINGS, "4.2"),
    (c.SHARING_RING_PFN, *_RINGS, "4.2"),
    (c.TOOLSTACK, "960371fa2c", "libxc: introduce XC_SAVE_ID_TOOLSTACK", "4.2"),
    (c.IOREQ_SERVER_PFN, *_SERVERS, "4.5"),
    (c.NR_IOREQ_SERVER_PAGES, *_SERVERS, "4.5"),
)


def _taken(chunk: int, commit: str, subject: str, release: str) -> Dated:
    name = c.RECORDS[chunk]
    cite = Cite("xc_domain_restore", commit, subject, release)
    return Dated("LEGACY_CHUNK", f"legacy {name}", "libxc takes the chunk", cite, (release,))


CHUNKS = {row[0]: _taken(*row) for row in _CHUNKS}
"""Since when xc_domain_restore() takes each chunk that not all releases do."""

XL = Dated(
    "XL_HEADER",
    "xl header",
    "xl puts a header and a configuration before a stream",
    Cite(
        "save_domain",
        "01745ae6b5",
        "xl: New savefile format. Save domain config when saving a domain.",
        "4.1",
    ),
    ("4.1",),
)
XSAVE = Dated(
    "LEGACY_XSAVE",
    "legacy vCPU",
    "a PV guest's vCPUs have XSAVE areas, whose size stands in the extended info (xcnt)",
    Cite(
        "xc_domain_restore",
        "47a3fb9662",
        "x86: xsave save/restore support for both PV and HVM guests (version 2)",
        "4.1",
    ),
    ("4.1",),
)
MODEL_LENGTH = Dated(
    "LEGACY_DEVICE_MODEL",
    "legacy device model",
    "a device model's state has a length (DeviceModelRecord0002); before, it goes to the end",
    Cite("buffer_tail_hvm", "2526ff6cc9", "libxl: Fix migration of HVM guests", "4.1"),
    ("4.1",),
)
