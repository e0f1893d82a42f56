"""The plan: every change that a conversion makes, why, and what it loses."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue.model import Citation
from xensave.container.events import Event
from xensave.context import ContextRecord
from xensave.errors import LimitExceeded, XensaveError
from xensave.findings import Finding, Place

Action: TypeAlias = Literal["convert", "drop", "insert", "map", "repair", "rewrite"]
CONVERT: Final = "convert"
DROP: Final = "drop"
INSERT: Final = "insert"
MAP: Final = "map"
REPAIR: Final = "repair"
REWRITE: Final = "rewrite"

NAMED_LOSSES = 8
"""How many lost fields of one record are named; the rest are counted."""
MAX_CHANGES = 20_000
"""No real guest needs more; a hostile context could ask for millions."""


class Loss(NamedTuple):
    """State that is not zero and has no place in the result: the field and its value."""

    field: str
    value: str


class PlannedChange(NamedTuple):
    """One change: where, what is done (`action`, `what`), why, what is lost, and on whose word.

    `accepted` says that the user asked for this very loss (--drop, a rules file): it needs no
    --allow-loss. `lost` counts the fields lost, of which `loss` names the first.
    """

    where: Place
    action: Action
    what: str
    reason: str
    loss: tuple[Loss, ...] = ()
    lost: int = 0
    accepted: bool = False
    citation: Citation | None = None


class Plan:
    """What a conversion to `target` does: `changes` in the image's order, `findings` of damage.

    `source` is the release that wrote the image, None where it is not known. `depends` is what
    the image does not say and the target's answer hangs on, `warnings` what the guest may miss
    after a restore that succeeds.
    """

    __slots__ = ("changes", "depends", "findings", "source", "target", "warnings")

    def __init__(self, target: str, source: str | None = None) -> None:
        self.target = target
        self.source = source
        self.changes: list[PlannedChange] = []
        self.findings: list[Finding] = []
        self.depends: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()

    @property
    def losses(self) -> tuple[PlannedChange, ...]:
        """The changes that lose state which nobody agreed to lose."""
        return tuple(change for change in self.changes if change.lost and not change.accepted)

    def note(self, *changes: PlannedChange) -> None:
        """Takes in changes. Raises LimitExceeded where the plan grows beyond reason."""
        for change in changes:
            if len(self.changes) >= MAX_CHANGES:
                what = f"the plan has over {MAX_CHANGES} changes"
                raise LimitExceeded(what, offset=change.where.offset)
            self.changes.append(change)

    def refusal(self, message: str, where: Place) -> ConversionRefused:
        """Returns a refusal at a place of the image."""
        return ConversionRefused(message, self, where)

    def check(self, *, allow_loss: bool, since: int = 0) -> None:
        """Raises ConversionRefused where a change loses state and that is not allowed.

        `since` passes over so many changes that were checked before.
        """
        lossy = [change for change in self.changes[since:] if change.lost and not change.accepted]
        if lossy and not allow_loss:
            raise _lossy(lossy[0], len(lossy) - 1, self)


class Noting:
    """What converts events one by one, and notes in a plan what it does at the last of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._place = Place(offset=0)

    def _note(self, action: Action, what: str, reason: str) -> None:
        self._plan.changes.append(PlannedChange(self._place, action, what, reason))

    def _lose(self, field: str, value: str, reason: str, what: str = "") -> None:
        loss = (Loss(field, value),)
        self._plan.changes.append(PlannedChange(self._place, DROP, what or field, reason, loss, 1))

    def refused(self, message: str) -> ConversionRefused:
        """Returns a refusal at the event that was converted last."""
        return self._plan.refusal(message, self._place)


class ConversionRefused(XensaveError):
    """A conversion that would lose state, or give what the target refuses; `plan` says more."""

    def __init__(self, message: str, plan: Plan, where: Place) -> None:
        super().__init__(message, offset=where.offset, record=where.record)
        self.plan = plan


class WouldLose(ConversionRefused):
    """A conversion whose result the target takes, with a loss that nobody agreed to."""


def place_of(what: Event | ContextRecord) -> Place:
    """Returns where a header or record of the input stands."""
    return Place(offset=what.offset, record=what.label)


def _lossy(change: PlannedChange, others: int, plan: Plan) -> WouldLose:
    named = ", ".join(f"{loss.field} = {loss.value}" for loss in change.loss[:3])
    more = f" and {change.lost - 3} more" if change.lost > 3 else ""
    what = "" if change.what == change.where.record else f"{change.what} "
    rest = f" ({others} more lose state)" if others else ""
    message = f"{what}would lose {named}{more}{rest}; --allow-loss accepts that"
    return WouldLose(message, plan, change.where)
