"""What the toolstack and Xen refuse beside the records of the HVM context: rules with dates.

A rule is its row, the decorator above a function, and that function, which gets the restore and
returns what is wrong, with the values found, or None. It raises `Undecided` where only the host,
dom0 or the guest's memory can tell. The function's name then stands for the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from xensave.catalogue.dates import Version, in_force, newest, version
from xensave.catalogue.errnos import MaybeErrno
from xensave.catalogue.model import Cite, Release
from xensave.container.description import Config
from xensave.container.events import LayerName
from xensave.engine.loop.rule import Undecided
from xensave.engine.verdict import Layer, Refused
from xensave.image.facts.emulator import Emulator
from xensave.image.facts.guest import GuestFacts
from xensave.policy.host import Host
from xensave.policy.value import Policy

if TYPE_CHECKING:
    from xensave.engine.pv import PvMemory


class Stage(IntEnum):
    """When a rule is met: a frame's header, the domain's creation, the stream by place, its end."""

    HEADER = 0
    CREATION = 1
    STREAM = 2
    COMPLETION = 3


class Target(NamedTuple):
    """A release as a toolstack and a hypervisor."""

    name: str
    release: Release
    version: Version


def target_of(name: str) -> Target:
    """Returns the target of a release's name. Raises UsageError for an unknown one."""
    return Target(name, newest(name), version(name))


class Restore(NamedTuple):
    """One restore: the guest's facts, the target, and the CPU policy that the guest has there.

    `host` is what is known of the target's host, `memory` a PV guest's memory, `emulators` the
    device models of an image that was saved on the target; None where it is not at hand.
    """

    facts: GuestFacts
    target: Target
    policy: Policy
    host: Host | None = None
    memory: PvMemory | None = None
    emulators: tuple[Emulator, ...] | None = None

    @property
    def config(self) -> Config:
        """What xl's header says of the guest."""
        return self.facts.config

    @property
    def on_amd(self) -> bool | None:
        """Whether the host's CPU is AMD's or Hygon's, None where neither host nor guest tells.

        A guest that brings no policy has the one that is taken for its target: of any vendor.
        """
        known = self.host is not None or bool(self.facts.leaves)
        return self.policy.amd if known else None


class RestoreObjection(NamedTuple):
    """How a restore fails, or may fail where it is not `certain`, and at which stage."""

    refusal: Refused
    stage: Stage
    certain: bool = True

    @property
    def order(self) -> tuple[int, int]:
        """When a restore meets it."""
        return self.stage, self.refusal.offset or 0


Test = Callable[[Restore], "str | None"]


class RestoreRule(NamedTuple):
    """One thing that a reader of an image refuses: who, when, since and until which releases.

    `record` is what a refusal names; `place` the layer and type of the stream's record, which
    orders refusals of the same stage. `errno` is Xen's, "" where a tool refuses of its own.
    `breaks` are rules of the formats, one of which an image breaks that is refused by the release
    which wrote it; () for a rule on values, of which the formats say nothing. `asked` tells of
    which restores it is asked, None for all.

    A row stands above its function as `@partial(RestoreRule, id=...)`.
    """

    refuses: Test
    id: str
    layer: Layer
    stage: Stage
    record: str
    says: str
    cite: Cite
    errno: MaybeErrno = ""
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    place: tuple[LayerName, int] | None = None
    breaks: tuple[str, ...] = ()
    asked: Callable[[Restore], bool] | None = None

    def holds(self, version: Version) -> bool:
        """Tells whether it is in force in a release."""
        return in_force(self.since, self.until, version)

    def objection(self, restore: Restore) -> RestoreObjection | None:
        """Asks it of a restore."""
        if self.asked is not None and not self.asked(restore):
            return None
        try:
            wrong, certain = self.refuses(restore), True
        except Undecided as doubt:
            wrong, certain = str(doubt), False
        if not wrong:
            return None
        offset = restore.facts.firsts.get(self.place) if self.place is not None else None
        refusal = Refused(
            self.id, wrong, self.layer, self.errno, self.record, offset=offset, cite=self.cite
        )
        return RestoreObjection(refusal, self.stage, certain)


__all__ = [
    "Layer",
    "Restore",
    "RestoreObjection",
    "RestoreRule",
    "Stage",
    "Target",
    "Undecided",
    "target_of",
]
