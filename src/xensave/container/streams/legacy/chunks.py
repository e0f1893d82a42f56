"""The chunks of a legacy stream: their numbers, names and limits.

A chunk begins with a 32-bit number: that of pages in a batch, 0 at the end of a body, or a
negative identifier. What stands before and behind the chunks has no number of its own; the
numbers from EXTENDED_INFO on are this reader's.
"""

MAX_BATCH = 1024
MAX_VCPU_ID = 4095
PAGE_SIZE = 4096
EXTENDED_VCPU_SIZE = 128
TYPE_MASK = 0xF0000000
PFN_MASK = 0x0FFFFFFF
BROKEN = 0xD0000000
"""The first of the page types that no contents follow: BROKEN, XALLOC, XTAB."""
HOLE = 0xF0000000
"""An entry that says nothing: type XTAB, and no PFN."""

PAGES = 1
END_OF_BODY = 0
VERIFY_MODE = -1
VCPU_INFO = -2
IDENT_PT = -3
VM86_TSS = -4
TMEM = -5
TMEM_EXTRA = -6
TSC_INFO = -7
CONSOLE_PFN = -8
LAST_CHECKPOINT = -9
ACPI_IOPORTS_LOCATION = -10
VIRIDIAN = -11
COMPRESSED_DATA = -12
ENABLE_COMPRESSION = -13
GENERATION_ID_ADDR = -14
PAGING_RING_PFN = -15
MONITOR_RING_PFN = -16
SHARING_RING_PFN = -17
TOOLSTACK = -18
IOREQ_SERVER_PFN = -19
NR_IOREQ_SERVER_PAGES = -20
LAST_ID = NR_IOREQ_SERVER_PAGES

EXTENDED_INFO = 0x101
P2M_FRAMES = 0x102
MAGIC_PFNS = 0x103
HVM_CONTEXT = 0x104
UNMAPPED_PFNS = 0x105
VCPU = 0x106
SHARED_INFO = 0x107
DEVICE_MODEL = 0x108

RECORDS = {
    PAGES: "pages",
    END_OF_BODY: "end of body",
    VERIFY_MODE: "verify mode",
    VCPU_INFO: "vCPU info",
    IDENT_PT: "IDENT_PT",
    VM86_TSS: "VM86_TSS",
    TMEM: "tmem",
    TMEM_EXTRA: "tmem extra",
    TSC_INFO: "TSC info",
    CONSOLE_PFN: "CONSOLE_PFN",
    LAST_CHECKPOINT: "last checkpoint",
    ACPI_IOPORTS_LOCATION: "ACPI_IOPORTS_LOCATION",
    VIRIDIAN: "VIRIDIAN",
    COMPRESSED_DATA: "compressed data",
    ENABLE_COMPRESSION: "enable compression",
    GENERATION_ID_ADDR: "VM_GENERATION_ID_ADDR",
    PAGING_RING_PFN: "PAGING_RING_PFN",
    MONITOR_RING_PFN: "MONITOR_RING_PFN",
    SHARING_RING_PFN: "SHARING_RING_PFN",
    TOOLSTACK: "toolstack",
    IOREQ_SERVER_PFN: "IOREQ_SERVER_PFN",
    NR_IOREQ_SERVER_PAGES: "NR_IOREQ_SERVER_PAGES",
    EXTENDED_INFO: "extended info",
    P2M_FRAMES: "P2M frames",
    MAGIC_PFNS: "magic PFNs",
    HVM_CONTEXT: "HVM context",
    UNMAPPED_PFNS: "unmapped PFNs",
    VCPU: "vCPU",
    SHARED_INFO: "shared info",
    DEVICE_MODEL: "device model",
}

PARAMS = {
    IDENT_PT: 12,
    VM86_TSS: 15,
    CONSOLE_PFN: 17,
    ACPI_IOPORTS_LOCATION: 19,
    VIRIDIAN: 9,
    GENERATION_ID_ADDR: 34,
    PAGING_RING_PFN: 27,
    MONITOR_RING_PFN: 28,
    SHARING_RING_PFN: 29,
    IOREQ_SERVER_PFN: 32,
    NR_IOREQ_SERVER_PAGES: 33,
}
"""Chunks that hold an HVM param (a 32-bit pad, then 64 bits), and its index (hvm/params.h)."""

MAGIC_PARAMS = (5, 6, 1)
"""The params of the three magic PFNs: IOREQ_PFN, BUFIOREQ_PFN, STORE_PFN."""

MARKERS = frozenset({VERIFY_MODE, LAST_CHECKPOINT, ENABLE_COMPRESSION, END_OF_BODY})
"""Chunks of nothing but their number."""

GUEST_WIDTHS = {0x1430: (8, 4), 0xAF0: (4, 3)}
"""A PV vCPU's context by its size: the guest's width in bytes, its levels of page tables."""

SIGNATURE_SIZE = 21
DEVICE_MODEL_TO_END = b"QemuDeviceModelRecord"
DEVICE_MODELS = (b"DeviceModelRecord0002", b"RemusDeviceModelState")
"""Signatures that a 32-bit length follows; the one above has data up to the end of input."""
