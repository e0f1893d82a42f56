"""A running PV guest's memory and vCPUs as a stream has them: by the guest's own frame numbers.

A PV guest's page tables and registers name machine frames. A save names the guest's own in their
place, and leaves out what is Xen's (normalise_page() and write_one_vcpu_basic() in
tools/libs/guest/xg_sr_save_x86_pv.c); so does this. What names a frame that is not the guest's is
an entry of zero here: a page that it mapped from another domain has no number of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc import PAGE_SHIFT
from xensave.container.streams.libxc_records import PV_LEVELS, P2mFrames, PvInfo, VcpuBlob
from xensave.errors import Malformed, Unsupported
from xensave.live.domain import MOST_TYPES, TYPE_SHIFT, RunningDomain
from xensave.live.foreign import ForeignMemory, Frames
from xensave.live.p2m import FRAME, PRESENT, P2m
from xensave.records.codec import decode, encode
from xensave.records.stream import GDT_PER_FRAME, root_frame, root_register, stream_layout
from xensave.records.values import integer, put

_TABLE_BITS = 0x7
_XTAB = 0xF
_LARGE = np.uint64(1 << 7)
_SHIFT = np.uint64(PAGE_SHIFT)
_USER_ROOT_SAVED = 1

# Entries of root tables that are Xen's own: ROOT_PAGETABLE_FIRST_XEN_SLOT on, and what is beyond
# the four that a 32-bit guest has.
_XENS = {(64, 4): slice(256, 272), (32, 3): slice(4, 512)}


PAGES_OF_XEN = 1 << 12
"""Pages that are a guest's and that Xen does not count: its shared info, its grant table."""


class RunningPvGuest:
    """The memory of a PV guest, which is paused: `pfns`, `frames` and `types` of what it owns.

    Raises what P2m raises, and Malformed where the guest's P2M has far more pages than Xen counts:
    a file of them could be of any size.
    """

    def __init__(self, domain: RunningDomain, foreign: ForeignMemory) -> None:
        self._domain = domain
        self.bits = domain.width()
        info = domain.info()
        self._vcpus = info.max_vcpu + 1
        self.shared_info, there = foreign.pages(
            domain.number, np.array([info.shared_info_frame], np.uint64)
        )
        if not there.all():
            raise Malformed(f"domain {domain.number}: its shared info page is not to be mapped")
        self._p2m = P2m(foreign, domain.number, self.bits, self.shared_info)
        parts, count = [], 0
        for part in self._owned():
            parts.append(part)
            count += len(part[0])
            if count > info.pages + PAGES_OF_XEN:
                why = f"its P2M has far more than the {info.pages} pages of it"
                raise Malformed(f"domain {domain.number}: {why}")
        none = np.empty(0, np.uint64)
        self.pfns, self.frames, self.types = (
            np.concatenate([none, *each])
            for each in (zip(*parts, strict=True) if parts else [(), (), ()])
        )
        self._by_frame, first = np.unique(self.frames, return_index=True)
        self._pfn_of = self.pfns[first]

    def _owned(self) -> Iterator[tuple[Frames, Frames, Frames]]:
        """Yields numbers, machine frames and page types of what Xen says is the guest's."""
        for pfns, frames in self._p2m.entries():
            for at in range(0, len(frames), MOST_TYPES):
                some = slice(at, at + MOST_TYPES)
                words = self._domain.page_types(frames[some].tobytes())
                if words is None:
                    raise Unsupported("this Xen does not tell the types of a PV guest's pages")
                types = np.frombuffer(words, np.uint64) >> np.uint64(TYPE_SHIFT)
                own = types != _XTAB
                yield pfns[some][own], frames[some][own], types[own]

    def numbers(self, frames: Frames) -> tuple[Frames, npt.NDArray[np.bool_]]:
        """Returns the guest's numbers of machine frames, and which of them it has.

        Of several numbers of one frame it is the lowest.
        """
        if not len(self._by_frame):
            return np.zeros(len(frames), np.uint64), np.zeros(len(frames), np.bool_)
        places = np.minimum(np.searchsorted(self._by_frame, frames), len(self._by_frame) - 1)
        return self._pfn_of[places], self._by_frame[places] == frames

    def table(self, page: bytes, kind: int) -> bytes:
        """Returns a page as a save has it: of a page table each entry by the guest's number."""
        level = kind & _TABLE_BITS
        if not 1 <= level <= PV_LEVELS[self.bits]:
            return page
        entries = np.frombuffer(page, np.uint64).copy()
        if (self.bits, level) in _XENS:
            entries[_XENS[self.bits, level]] = 0
        at = np.flatnonzero(entries & PRESENT)
        numbers, own = self.numbers((entries[at] & FRAME) >> _SHIFT)
        if level > 1:
            # A large page's frames are no neighbours among the guest's own.
            own &= entries[at] & _LARGE == 0
        entries[at] = np.where(own, entries[at] & ~FRAME | numbers << _SHIFT, np.uint64(0))
        return entries.tobytes()

    def front(self) -> bytes:
        """Returns what comes before the pages: X86_PV_INFO and X86_PV_P2M_FRAMES."""
        leaves, own = self.numbers(self._p2m.leaves)
        if not own.all():
            raise Malformed(f"domain {self._domain.number}: its P2M does not name all of itself")
        frames = P2mFrames(0, max(self._p2m.max_pfn - 1, 0), tuple(leaves.tolist()))
        info = PvInfo(self.bits // 8, PV_LEVELS[self.bits])
        return pack_record(libxc.X86_PV_INFO, info.to_bytes()) + pack_record(
            libxc.X86_PV_P2M_FRAMES, frames.to_bytes()
        )

    def back(self) -> bytes:
        """Returns what comes after the pages: SHARED_INFO and the vCPUs' X86_PV_VCPU_BASIC."""
        records = [pack_record(libxc.SHARED_INFO, self.shared_info)]
        for number in range(self._vcpus):
            context = self._domain.vcpu_context(number, self.bits)
            if context is not None:
                body = self._vcpu(VcpuBlob(number, context).to_bytes())
                records.append(pack_record(libxc.X86_PV_VCPU_BASIC, body))
        return b"".join(records)

    def _vcpu(self, body: bytes) -> bytes:
        """Returns an X86_PV_VCPU_BASIC with the guest's numbers of GDT and root tables.

        Its rdx is what it was: only a guest that suspends has its start info's frame there.
        """
        layout = stream_layout(libxc.RECORDS[libxc.X86_PV_VCPU_BASIC], len(body))
        assert layout is not None, "every width has one"
        values = decode(layout, body)
        for at in range(-(-integer(values, "gdt_ents") // GDT_PER_FRAME)):
            frame = integer(values, f"gdt_frames[{at}]")
            put(values, f"gdt_frames[{at}]", self._number(frame, "GDT"))
        root = self._number(root_frame(integer(values, "ctrlreg[3]"), self.bits), "CR3")
        put(values, "ctrlreg[3]", root_register(root, self.bits))
        user = integer(values, "ctrlreg[1]")
        if self.bits == 64 and user:
            number = self._number(user >> PAGE_SHIFT, "root table in user mode")
            put(values, "ctrlreg[1]", number << PAGE_SHIFT | _USER_ROOT_SAVED)
        return encode(layout, values)

    def _number(self, frame: int, what: str) -> int:
        numbers, own = self.numbers(np.array([frame], np.uint64))
        if not own.all():
            raise Malformed(
                f"domain {self._domain.number}: a vCPU's {what} is machine frame {frame:#x}, "
                "which is not in its P2M"
            )
        return int(numbers[0])
