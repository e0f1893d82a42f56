"""The bodies of libxc's records: what each holds, read from its bytes and written back.

`BODIES` spells their structs; the layouts that they are shown by (`xensave.records.stream`) and
the formats that they are read by here are made of it.

Every `parse` takes a whole body, raises Malformed where its length is not what its own counts
say, and is undone by `to_bytes`. Reserved fields are kept. SHARED_INFO, HVM_CONTEXT and TOOLSTACK
are opaque here; END, VERIFY, CHECKPOINT and STATIC_DATA_END have no body.
Source: docs/specs/libxc-migration-stream.pandoc; for the contexts of PV vCPUs the struct
xen_domctl_ext_vcpucontext (xen/include/public/domctl.h).
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import starmap
from typing import Any, NamedTuple

from xensave.container.streams.libxc import TYPE_SHIFT
from xensave.errors import Malformed

PAGE_TYPES = {
    0x0: "NOTAB",
    0x1: "L1TAB",
    0x2: "L2TAB",
    0x3: "L3TAB",
    0x4: "L4TAB",
    0x9: "L1TAB_PIN",
    0xA: "L2TAB_PIN",
    0xB: "L3TAB_PIN",
    0xC: "L4TAB_PIN",
    0xD: "BROKEN",
    0xE: "XALLOC",
    0xF: "XTAB",
}
DATALESS_TYPES = frozenset({0xD, 0xE, 0xF})
"""Page types that no page of data follows: XEN_DOMCTL_PFINFO_BROKEN, XALLOC and XTAB."""

TSC_MODES = {0: "default", 1: "always emulate", 2: "never emulate", 3: "PVRDTSCP"}

VCPU = "vcpu_id:u32 reserved:u32"
"""What every record of a PV vCPU begins with."""

_MSR = {"msr": "index:u32 flags:u32 value:u64"}

BODIES: dict[str, tuple[str, dict[str, str]]] = {
    "HVM_PARAMS": ("count:u32 reserved:u32 params:param[]", {"param": "index:u64 value:u64"}),
    "X86_TSC_INFO": ("mode:u32 khz:u32 nsec:u64 incarnation:u32 reserved:u32", {}),
    "X86_PV_INFO": ("guest_width:u8 pt_levels:u8 reserved:u8[6]", {}),
    "X86_PV_P2M_FRAMES": ("start_pfn:u32 end_pfn:u32 p2m_pfn:u64[]", {}),
    "X86_CPUID_POLICY": (
        "leaves:leaf[]",
        {"leaf": "leaf:u32 subleaf:u32 a:u32 b:u32 c:u32 d:u32"},
    ),
    "X86_MSR_POLICY": ("entries:msr[]", _MSR),
    "X86_PV_VCPU_MSRS": (f"{VCPU} entries:msr[]", _MSR),
    "X86_PV_VCPU_EXTENDED": (
        f"{VCPU} vcpu:u32 size:u32 syscall32_callback_eip:u64 sysenter_callback_eip:u64"
        " syscall32_callback_cs:u16 sysenter_callback_cs:u16 syscall32_disables_events:u8"
        " sysenter_disables_events:u8 mcg_cap:u64 mci_ctl2_bank0:u64 mci_ctl2_bank1:u64"
        " mcg_ext_ctl:u64",
        {},
    ),
    "X86_PV_VCPU_XSAVE": (f"{VCPU} xcr0:u64 xcr0_accum:u64 save_area:u8[]", {}),
    "CHECKPOINT_DIRTY_PFN_LIST": ("pfn:u64[]", {}),
}
"""A record's struct, as words "name:type[count]" aligned as C does, and the structs inside it."""

_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


def _format(spec: str) -> struct.Struct:
    """Returns the format of a struct up to a flexible array, if there are no gaps in it.

    >>> _format("width:u8 reserved:u8[6] count:u32 entries:entry[]").format
    '<B6sI'
    """
    fixed = spec.partition("[]")[0].rpartition(" ")[0] if "[]" in spec else spec
    kinds = [word.partition(":")[2].partition("[") for word in fixed.split()]
    codes = (f"{count[:-1]}s" if count else _CODES[kind] for kind, _, count in kinds)
    return struct.Struct("<" + "".join(codes))


PAIR = _format(BODIES["HVM_PARAMS"][0])
"""Two numbers of 32 bits, as most bodies begin with: a count, a vCPU, a first and a last PFN."""
PV_INFO = _format(BODIES["X86_PV_INFO"][0])
TSC_INFO = _format(BODIES["X86_TSC_INFO"][0])
PARAM = _format(BODIES["HVM_PARAMS"][1]["param"])
LEAF = _format(BODIES["X86_CPUID_POLICY"][1]["leaf"])
MSR = _format(BODIES["X86_MSR_POLICY"][1]["msr"])


class PageData(NamedTuple):
    """The front of a PAGE_DATA record: PFNs with their types (bits 63 - 60), without the pages.

    `size` is where the pages begin in the body; `pages` how many there are.

    >>> front = PageData(pfns=(0x10, 0xF << 60 | 0x11))
    >>> front.size, front.pages, PageData.parse(front.to_bytes()) == front
    (24, 1, True)
    """

    pfns: tuple[int, ...]
    reserved: int = 0

    @classmethod
    def parse(cls, front: bytes | memoryview) -> "PageData":
        """Reads the count and the PFNs; `front` may go on with the pages.

        Raises Malformed for a body that does not fit its count.
        """
        count, reserved = _pair(front, "PAGE_DATA")
        if len(front) < PAIR.size + 8 * count:
            raise Malformed(f"{count} PFNs in {len(front)} bytes", record="libxc PAGE_DATA")
        return cls(struct.unpack_from(f"<{count}Q", front, PAIR.size), reserved)

    def to_bytes(self) -> bytes:
        """Returns the front; the pages follow it."""
        return PAIR.pack(len(self.pfns), self.reserved) + _pack_words(self.pfns)

    @property
    def size(self) -> int:
        """How many bytes count and PFNs take."""
        return PAIR.size + 8 * len(self.pfns)

    @property
    def pages(self) -> int:
        """How many of the PFNs have a page of data in the record."""
        return sum(pfn >> TYPE_SHIFT not in DATALESS_TYPES for pfn in self.pfns)


class PvInfo(NamedTuple):
    """X86_PV_INFO: the guest's width in bytes (4 or 8) and its page-table levels (3 or 4)."""

    guest_width: int
    pt_levels: int
    reserved: bytes = bytes(6)

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "PvInfo":
        """Reads a body of 8 bytes."""
        return cls(*_exactly(PV_INFO, body, "X86_PV_INFO"))

    def to_bytes(self) -> bytes:
        """Returns the body."""
        return PV_INFO.pack(*self)


class P2mFrames(NamedTuple):
    """X86_PV_P2M_FRAMES: the PFNs of the frames that hold the P2M of PFNs start - end."""

    start_pfn: int
    end_pfn: int
    frames: tuple[int, ...]

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "P2mFrames":
        """Reads a body: two 32-bit PFNs, then 64-bit ones."""
        start, end = _pair(body, "X86_PV_P2M_FRAMES")
        return cls(start, end, _words(body[PAIR.size :], "X86_PV_P2M_FRAMES"))

    def to_bytes(self) -> bytes:
        """Returns the body."""
        return PAIR.pack(self.start_pfn, self.end_pfn) + _pack_words(self.frames)


PV_LEVELS = {64: 4, 32: 3}
"""Levels of page tables by a PV guest's width in bits."""

VCPU_CONTEXT_SIZES = {64: 5168, 32: 2800}
"""sizeof(struct vcpu_guest_context) by a PV guest's width in bits."""


class VcpuBlob(NamedTuple):
    """X86_PV_VCPU_BASIC, EXTENDED, XSAVE and MSRS: a vCPU's number and what a hypercall gave."""

    vcpu_id: int
    context: bytes
    reserved: int = 0

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "VcpuBlob":
        """Reads a body of at least 8 bytes."""
        vcpu_id, reserved = _pair(body, "X86_PV_VCPU")
        return cls(vcpu_id, bytes(body[PAIR.size :]), reserved)

    def to_bytes(self) -> bytes:
        """Returns the body."""
        return PAIR.pack(self.vcpu_id, self.reserved) + self.context


class TscInfo(NamedTuple):
    """X86_TSC_INFO: the mode (TSC_MODES), kHz, elapsed nanoseconds and incarnation."""

    mode: int
    khz: int
    nsec: int
    incarnation: int
    reserved: int = 0

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "TscInfo":
        """Reads a body of 24 bytes."""
        return cls(*_exactly(TSC_INFO, body, "X86_TSC_INFO"))

    def to_bytes(self) -> bytes:
        """Returns the body."""
        return TSC_INFO.pack(*self)

    @property
    def mode_name(self) -> str:
        """The mode in words, or its number."""
        return TSC_MODES.get(self.mode, f"mode {self.mode}")


class HvmParams(NamedTuple):
    """HVM_PARAMS: pairs of HVM_PARAM_* index and value.

    >>> HvmParams.parse(HvmParams(((1, 0xFEFFE),)).to_bytes()).params
    ((1, 1044478),)
    """

    params: tuple[tuple[int, int], ...]
    reserved: int = 0

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "HvmParams":
        """Reads a body: a count, then 16 bytes for each.

        Raises Malformed for a body that does not fit its count.
        """
        count, reserved = _pair(body, "HVM_PARAMS")
        if len(body) != PAIR.size + PARAM.size * count:
            raise Malformed(f"{count} params in {len(body)} bytes", record="libxc HVM_PARAMS")
        return cls(tuple(PARAM.iter_unpack(body[PAIR.size :])), reserved)

    def to_bytes(self) -> bytes:
        """Returns the body."""
        packed = b"".join(PARAM.pack(*param) for param in self.params)
        return PAIR.pack(len(self.params), self.reserved) + packed


class CpuidLeaf(NamedTuple):
    """One entry of X86_CPUID_POLICY (xen_cpuid_leaf_t); subleaf 0xffffffff means none."""

    leaf: int
    subleaf: int
    a: int
    b: int
    c: int
    d: int


class MsrEntry(NamedTuple):
    """One entry of X86_MSR_POLICY (xen_msr_entry_t); also of a PV vCPU's X86_PV_VCPU_MSRS."""

    msr: int
    flags: int
    value: int


def policy_leaves(body: bytes | memoryview) -> tuple[CpuidLeaf, ...]:
    """Returns the whole entries of X86_CPUID_POLICY."""
    return tuple(starmap(CpuidLeaf, _entries(LEAF, body)))


def pack_cpuid_policy(leaves: Iterable[CpuidLeaf]) -> bytes:
    """Returns the body of X86_CPUID_POLICY."""
    return b"".join(LEAF.pack(*leaf) for leaf in leaves)


def policy_msrs(body: bytes | memoryview) -> tuple[MsrEntry, ...]:
    """Returns the whole entries of X86_MSR_POLICY, or of a PV vCPU's MSRs behind its number."""
    return tuple(starmap(MsrEntry, _entries(MSR, body)))


def pack_msr_policy(entries: Iterable[MsrEntry]) -> bytes:
    """Returns the body of X86_MSR_POLICY."""
    return b"".join(MSR.pack(*entry) for entry in entries)


def _pair(body: bytes | memoryview, name: str) -> tuple[int, int]:
    if len(body) < PAIR.size:
        raise Malformed(f"{len(body)} bytes, at least {PAIR.size} expected", record=f"libxc {name}")
    first, second = PAIR.unpack_from(body)
    return first, second


def _exactly(layout: struct.Struct, body: bytes | memoryview, name: str) -> tuple[Any, ...]:
    if len(body) != layout.size:
        raise Malformed(f"{len(body)} bytes, {layout.size} expected", record=f"libxc {name}")
    return layout.unpack(body)


def _entries(layout: struct.Struct, body: bytes | memoryview) -> Iterator[tuple[int, ...]]:
    """The whole entries of a body; a rest is left out."""
    return layout.iter_unpack(body[: len(body) // layout.size * layout.size])


def _words(data: bytes | memoryview, name: str) -> tuple[int, ...]:
    if len(data) % 8:
        raise Malformed(f"{len(data)} bytes, a multiple of 8 expected", record=f"libxc {name}")
    return struct.unpack(f"<{len(data) // 8}Q", data)


def _pack_words(words: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(words)}Q", *words)
