"""HVM_PARAMS: each is set by HVMOP_set_param in the order of the record, and any may be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.dates import begun
from xensave.catalogue.errnos import Errno
from xensave.catalogue.model import Cite
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.toolstack.libxc.param_rules import DISCARDED, Setting, in_release
from xensave.toolstack.libxl.viridian import params_set
from xensave.toolstack.rule import Layer, Objection, Restore, Stage, Undecided

RECORD = "libxc HVM_PARAMS"
PLACE = (LIBXC, libxc.HVM_PARAMS)
_INDEX_MASK = (1 << 32) - 1
"""xc_hvm_param_set() takes the index as 32 bits."""


class Refusal(NamedTuple):
    """Why a release refuses a setting; where it is not `certain`, only the host can tell."""

    rule: str
    errno: Errno
    reason: str
    cite: Cite
    certain: bool = True


class Param(NamedTuple):
    """A param as a restore sets it, and what the release makes of it; None where it is taken."""

    number: int
    value: int
    refusal: Refusal | None = None


def settings(restore: Restore) -> Iterator[Param]:
    """Yield the guest's params in order, each with what a release makes of it.

    One that is refused counts as not set, for those behind it.
    """
    target = restore.target
    space = catalogue.space("hvm-param")
    limit = dict(space.limits)[target.release.name]
    before = params_set(restore)
    discarded = {name for name, since in DISCARDED if begun(since, target.version)}
    for number, value in restore.facts.params:
        name = name_of(number)
        refusal = None
        if name in discarded:
            pass
        elif number & _INDEX_MASK >= limit:
            reason = f"Xen {target.name} has {limit} params"
            refusal = Refusal("PARAM_INDEX", "EINVAL", reason, Cite("hvmop_set_param"))
        else:
            refusal = _set(name, Setting(value, before.get(name, 0), restore))
        if refusal is None or not refusal.certain:
            before[name] = value
        yield Param(number, value, refusal)


def name_of(number: int) -> str:
    """Return the name of a param: of its index 32 bits count."""
    index = number & _INDEX_MASK
    return catalogue.space("hvm-param").name_of(index) or f"param {index}"


def _set(name: str, setting: Setting) -> Refusal | None:
    """Return the first refusal of a setting, or what only the host can tell."""
    doubt = None
    for rule in in_release(setting.restore.target.version):
        if name not in rule.names:
            continue
        try:
            wrong = rule.refuses(setting)
        except Undecided as unknown:
            doubt = Refusal(rule.id, rule.errno, str(unknown), rule.cite, certain=False)
            continue
        if wrong:
            return Refusal(rule.id, rule.errno, wrong, rule.cite)
    return doubt


def objections(restore: Restore) -> Iterator[Objection]:
    """Yield what setting the params comes to, in their order: the first refusal ends it."""
    for param in settings(restore):
        refusal = param.refusal
        if refusal is None:
            continue
        reason = refusal.reason
        if refusal.certain:
            reason = f"{name_of(param.number)} = {param.value:#x}: {reason}"
        yield Objection(
            refusal.rule,
            Layer.XEN,
            Stage.STREAM,
            RECORD,
            reason,
            refusal.cite,
            refusal.errno,
            restore.facts.firsts.get(PLACE),
            refusal.certain,
        )
        if refusal.certain:
            return
