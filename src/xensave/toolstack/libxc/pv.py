"""A PV guest's vCPUs when its stream is complete, and the frames that they name.

The rules are the engine's (`xensave.engine.pv`). Frames are looked up in the guest's memory where
the image can be read again; of a pipe, in what the stream listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xensave.container.streams import libxc
from xensave.engine.verdict import Refused
from xensave.image.facts.guest import GuestFacts
from xensave.toolstack.domain import configured_vcpus
from xensave.toolstack.rule import Restore, RestoreObjection, Stage

if TYPE_CHECKING:
    from xensave.engine.pv import PvAnswer


def is_pv(facts: GuestFacts) -> bool:
    """Tells whether a stream is of a PV guest."""
    return facts.domain is not None and facts.domain.type == libxc.PV


def vcpus(restore: Restore) -> tuple[list[RestoreObjection], tuple[str, ...]]:
    """Returns what stands against a PV guest's vCPUs, and what is taken for granted of them."""
    facts = restore.facts
    if not is_pv(facts) or facts.width not in (32, 64):
        return [], ()
    from xensave.engine.pv import ListedMemory, PvGuest, judge_pv

    guest = PvGuest(
        facts.width,
        configured_vcpus(facts) or max(facts.vcpus_pv, default=0) + 1,
        facts.vcpus_pv,
        restore.host.physical if restore.host is not None else None,
    )
    memory = restore.memory or ListedMemory.of(facts)
    answer = judge_pv(restore.target.version, guest, restore.policy, memory)
    return list(_objections(answer)), answer.assumes


def _objections(answer: PvAnswer) -> Iterator[RestoreObjection]:
    refusal = answer.refusal
    if refusal is not None:
        placed = refusal._replace(record=f"libxc {refusal.record}")
        yield RestoreObjection(placed, Stage.COMPLETION)
    for text in answer.depends:
        yield RestoreObjection(Refused("PV_VCPU", text), Stage.COMPLETION, certain=False)
