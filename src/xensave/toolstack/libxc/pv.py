"""A PV guest when its stream is complete: its vCPUs, and the frames that they name.

The rules of the records are the engine's (`xensave.engine.pv`). Frames are looked up in the
guest's memory where the image can be read again; of a pipe, by what the stream listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from xensave.catalogue.model import Cite
from xensave.container.streams import libxc
from xensave.engine.pv import PvAnswer, PvGuest, judge_pv
from xensave.engine.verdict import Refused
from xensave.image.facts.guest import GuestFacts
from xensave.records.codec import decode
from xensave.records.stream import root_frame, stream_layout
from xensave.records.values import Values, integer
from xensave.toolstack.domain import configured_vcpus
from xensave.toolstack.rule import Layer, Objection, Restore, Rule, Stage, Undecided

_BASIC = "X86_PV_VCPU_BASIC"
_HEAD = bytes(8)
_FIRST_RESERVED_GDT = 7168
_ENTRIES_OF_A_FRAME = 512
_PAGE_SHIFT = 12
_TABLE_TYPES = range(1, 5)
_TYPE_MASK = 0x7
_USER_TABLES = 1


def _basics(facts: GuestFacts) -> Iterator[tuple[int, Values]]:
    """Yields the basic contexts that are whole, by vCPU."""
    for number, vcpu in facts.vcpus_pv.items():
        if vcpu.basic is None:
            continue
        body = _HEAD + vcpu.basic
        layout = stream_layout(_BASIC, len(body))
        if layout is not None and len(body) == layout.size:
            yield number, decode(layout, body)


def is_pv(facts: GuestFacts) -> bool:
    """Tells whether a stream is of a PV guest."""
    return facts.domain is not None and facts.domain.type == libxc.PV


def _listed(restore: Restore) -> bool:
    """Whether frames are to be looked up in what the stream lists."""
    return is_pv(restore.facts) and restore.memory is None


def _frame(restore: Restore, pfn: int, what: str, level: int = 0) -> str | None:
    """Returns what is wrong with a frame that must be a page table of `level`, or plain for 0."""
    facts = restore.facts
    if facts.cut:
        return None
    if facts.max_pfn is None or pfn > facts.max_pfn:
        return f"{what} (PFN {pfn:#x}) is out of range"
    if facts.pages is None:
        raise Undecided(f"of which type {what} (PFN {pfn:#x}) is")
    kind = facts.pages.types.get(pfn, 0)
    if (kind & _TYPE_MASK if level else kind) != level:
        return f"{what} (PFN {pfn:#x}) has type {kind}, expected {level}"
    if not facts.pages.has(pfn):
        if any(kind & _TYPE_MASK in _TABLE_TYPES for kind in facts.pages.types.values()):
            raise Undecided(f"whether a page table of the guest names {what} (PFN {pfn:#x})")
        return f"{what} (PFN {pfn:#x}) has no page"
    return None


@partial(
    Rule,
    id="PV_START_INFO",
    layer=Layer.LIBXC,
    stage=Stage.COMPLETION,
    record="libxc X86_PV_VCPU_BASIC",
    says="vCPU 0's RDX names the guest's start info",
    cite=Cite("process_start_info"),
)
def start_info(restore: Restore) -> str | None:
    """Refuses a start info page that is none."""
    for vcpu, values in _basics(restore.facts) if _listed(restore) else ():
        if vcpu == 0:
            field = "user_regs.rdx" if restore.facts.width != 32 else "user_regs.edx"
            return _frame(restore, integer(values, field), "the start info")
    return None


@partial(
    Rule,
    id="PV_GDT",
    layer=Layer.LIBXC,
    stage=Stage.COMPLETION,
    record="libxc X86_PV_VCPU_BASIC",
    says="a GDT ends before Xen's own entries, in plain frames",
    cite=Cite("process_vcpu_basic"),
)
def gdt(restore: Restore) -> str | None:
    """Refuses a GDT that is too large, or whose frames are not plain pages."""
    for vcpu, values in _basics(restore.facts) if _listed(restore) else ():
        entries = integer(values, "gdt_ents") & 0xFFFFFFFF
        if entries > _FIRST_RESERVED_GDT:
            return f"vCPU {vcpu}: {entries} GDT entries, at most {_FIRST_RESERVED_GDT}"
        for at in range(-(-entries // _ENTRIES_OF_A_FRAME)):
            wrong = _frame(restore, integer(values, f"gdt_frames[{at}]"), f"GDT frame {at}")
            if wrong:
                return f"vCPU {vcpu}: {wrong}"
    return None


@partial(
    Rule,
    id="PV_CR3",
    layer=Layer.LIBXC,
    stage=Stage.COMPLETION,
    record="libxc X86_PV_VCPU_BASIC",
    says="CR3, and CR1 of a 64-bit guest, name page tables of the top level",
    cite=Cite("process_vcpu_basic"),
)
def page_tables(restore: Restore) -> str | None:
    """Refuses a CR3 or CR1 that names no page table of the top level."""
    facts = restore.facts
    if not _listed(restore) or facts.info is None:
        return None
    levels = facts.info.pt_levels
    for vcpu, values in _basics(facts):
        cr3 = integer(values, "ctrlreg[3]")
        wrong = _frame(restore, root_frame(cr3, facts.width or 64), "CR3", levels)
        if not wrong and levels == 4 and integer(values, "ctrlreg[1]") & _USER_TABLES:
            cr1 = integer(values, "ctrlreg[1]")
            wrong = _frame(restore, cr1 >> _PAGE_SHIFT, "CR1", levels)
        if wrong:
            return f"vCPU {vcpu}: {wrong}"
    return None


@partial(
    Rule,
    id="PV_P2M_FRAMES",
    layer=Layer.LIBXC,
    stage=Stage.COMPLETION,
    record="libxc X86_PV_P2M_FRAMES",
    says="the frames that hold the P2M are plain pages",
    cite=Cite("update_guest_p2m"),
)
def p2m_frames(restore: Restore) -> str | None:
    """Refuses frames of the P2M that are no plain pages."""
    for at, pfn in enumerate(restore.facts.p2m_pfns if _listed(restore) else ()):
        wrong = _frame(restore, pfn, f"frame {at} of the P2M")
        if wrong:
            return wrong
    return None


RULES: tuple[Rule, ...] = (start_info, gdt, page_tables, p2m_frames)


def vcpus(restore: Restore) -> tuple[list[Objection], tuple[str, ...]]:
    """Returns what stands against a PV guest's vCPUs, and what is taken for granted of them."""
    facts = restore.facts
    if not is_pv(facts) or facts.width not in (32, 64):
        return [], ()
    guest = PvGuest(
        facts.width,
        configured_vcpus(facts) or max(facts.vcpus_pv, default=0) + 1,
        facts.vcpus_pv,
        restore.host.physical if restore.host is not None else None,
    )
    answer = judge_pv(restore.target.version, guest, restore.policy, restore.memory)
    return list(_objections(answer)), answer.assumes


def _objections(answer: PvAnswer) -> Iterator[Objection]:
    refusal = answer.refusal
    if refusal is not None:
        placed = refusal._replace(record=f"libxc {refusal.record}")
        yield Objection(placed, Stage.COMPLETION)
    for text in answer.depends:
        yield Objection(Refused("PV_VCPU", text), Stage.COMPLETION, certain=False)
