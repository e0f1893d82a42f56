"""The bodies of libxc's records: each read from its bytes and written back.

Every `parse` takes a whole body, raises Malformed where its length is not what its own counts
say, and is undone by `to_bytes`. Reserved fields are kept. SHARED_INFO, HVM_CONTEXT and TOOLSTACK
are opaque here; END, VERIFY, CHECKPOINT and STATIC_DATA_END have no body.
Source: docs/specs/libxc-migration-stream.pandoc.
"""

import struct
from typing import NamedTuple

from xensave.errors import Malformed

PFN_MASK = (1 << 52) - 1
TYPE_SHIFT = 60
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

PAIR = struct.Struct("<II")
PV_INFO = struct.Struct("<BB6s")
TSC_INFO = struct.Struct("<IIQII")
PARAM = struct.Struct("<QQ")
LEAF = struct.Struct("<6I")
MSR = struct.Struct("<IIQ")


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
        """Read the count and the PFNs; `front` may go on with the pages."""
        count, reserved = _front(PAIR, front, "PAGE_DATA")
        if len(front) < PAIR.size + 8 * count:
            raise Malformed(f"{count} PFNs in {len(front)} bytes", record="libxc PAGE_DATA")
        return cls(struct.unpack_from(f"<{count}Q", front, PAIR.size), reserved)

    def to_bytes(self) -> bytes:
        """Return the front; the pages follow it."""
        return PAIR.pack(len(self.pfns), self.reserved) + struct.pack(
            f"<{len(self.pfns)}Q", *self.pfns
        )

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
        """Read a body of 8 bytes."""
        _exactly(PV_INFO, body, "X86_PV_INFO")
        return cls(*PV_INFO.unpack(body))

    def to_bytes(self) -> bytes:
        """Return the body."""
        return PV_INFO.pack(*self)


class P2mFrames(NamedTuple):
    """X86_PV_P2M_FRAMES: the PFNs of the frames that hold the P2M of PFNs start - end."""

    start_pfn: int
    end_pfn: int
    frames: tuple[int, ...]

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "P2mFrames":
        """Read a body: two 32-bit PFNs, then 64-bit ones."""
        start, end = _front(PAIR, body, "X86_PV_P2M_FRAMES")
        return cls(start, end, _words(body[PAIR.size :], "X86_PV_P2M_FRAMES"))

    def to_bytes(self) -> bytes:
        """Return the body."""
        return PAIR.pack(self.start_pfn, self.end_pfn) + _pack_words(self.frames)


class VcpuBlob(NamedTuple):
    """X86_PV_VCPU_BASIC, EXTENDED, XSAVE and MSRS: a vCPU's number and what a hypercall gave."""

    vcpu_id: int
    context: bytes
    reserved: int = 0

    @classmethod
    def parse(cls, body: bytes | memoryview) -> "VcpuBlob":
        """Read a body of at least 8 bytes."""
        vcpu_id, reserved = _front(PAIR, body, "X86_PV_VCPU")
        return cls(vcpu_id, bytes(body[PAIR.size :]), reserved)

    def to_bytes(self) -> bytes:
        """Return the body."""
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
        """Read a body of 24 bytes."""
        _exactly(TSC_INFO, body, "X86_TSC_INFO")
        return cls(*TSC_INFO.unpack(body))

    def to_bytes(self) -> bytes:
        """Return the body."""
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
        """Read a body: a count, then 16 bytes for each."""
        count, reserved = _front(PAIR, body, "HVM_PARAMS")
        if len(body) != PAIR.size + PARAM.size * count:
            raise Malformed(f"{count} params in {len(body)} bytes", record="libxc HVM_PARAMS")
        return cls(tuple(PARAM.iter_unpack(body[PAIR.size :])), reserved)

    def to_bytes(self) -> bytes:
        """Return the body."""
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


def parse_cpuid_policy(body: bytes | memoryview) -> list[CpuidLeaf]:
    """Read the leaves of X86_CPUID_POLICY, 24 bytes each."""
    _multiple(LEAF.size, body, "X86_CPUID_POLICY")
    return [CpuidLeaf(*words) for words in LEAF.iter_unpack(body)]


def pack_cpuid_policy(leaves: list[CpuidLeaf]) -> bytes:
    """Return the body of X86_CPUID_POLICY."""
    return b"".join(LEAF.pack(*leaf) for leaf in leaves)


def parse_msr_policy(body: bytes | memoryview) -> list[MsrEntry]:
    """Read the entries of X86_MSR_POLICY, 16 bytes each."""
    _multiple(MSR.size, body, "X86_MSR_POLICY")
    return [MsrEntry(*words) for words in MSR.iter_unpack(body)]


def pack_msr_policy(entries: list[MsrEntry]) -> bytes:
    """Return the body of X86_MSR_POLICY."""
    return b"".join(MSR.pack(*entry) for entry in entries)


def parse_dirty_pfns(body: bytes | memoryview) -> tuple[int, ...]:
    """Read the PFNs of CHECKPOINT_DIRTY_PFN_LIST, 8 bytes each."""
    return _words(body, "CHECKPOINT_DIRTY_PFN_LIST")


def pack_dirty_pfns(pfns: tuple[int, ...]) -> bytes:
    """Return the body of CHECKPOINT_DIRTY_PFN_LIST."""
    return _pack_words(pfns)


def _front(layout: struct.Struct, body: bytes | memoryview, name: str) -> tuple[int, int]:
    if len(body) < layout.size:
        raise Malformed(
            f"{len(body)} bytes, at least {layout.size} expected", record=f"libxc {name}"
        )
    first, second = layout.unpack_from(body)
    return first, second


def _exactly(layout: struct.Struct, body: bytes | memoryview, name: str) -> None:
    if len(body) != layout.size:
        raise Malformed(f"{len(body)} bytes, {layout.size} expected", record=f"libxc {name}")


def _multiple(size: int, body: bytes | memoryview, name: str) -> None:
    if len(body) % size:
        raise Malformed(f"{len(body)} bytes, a multiple of {size} expected", record=f"libxc {name}")


def _words(data: bytes | memoryview, name: str) -> tuple[int, ...]:
    _multiple(8, data, name)
    return struct.unpack(f"<{len(data) // 8}Q", data)


def _pack_words(words: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(words)}Q", *words)
