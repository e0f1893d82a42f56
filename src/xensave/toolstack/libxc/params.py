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
from xensave.image.facts.guest import PV
from xensave.toolstack.libxc.param_rules import DISCARDED, Setting, in_release
from xensave.toolstack.libxl.configured import config_rule, configured, domain_type
from xensave.toolstack.libxl.hvm_params import params_set
from xensave.toolstack.rule import Layer, Objection, Restore, Rule, Stage, Undecided

RECORD = "libxc HVM_PARAMS"
PLACE = (LIBXC, libxc.HVM_PARAMS)
_HEEDED = {"VIRIDIAN": ("3.3",), "MCA_CAP": ("4.10",)}
"""Since when libxl gives up where Xen refuses one of these."""
_ALL_HEEDED = ("4.14",)
_INDEX_MASK = (1 << 32) - 1
"""xc_hvm_param_set() takes the index as 32 bits; what libxc itself looks for has all 64."""


class ParamRefusal(NamedTuple):
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
    refusal: ParamRefusal | None = None


def settings(restore: Restore) -> Iterator[Param]:
    """Yields the guest's params in order, each with what a release makes of it.

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
        if name in discarded and number <= _INDEX_MASK:
            pass
        elif number & _INDEX_MASK >= limit:
            reason = f"Xen {target.name} has {limit} params"
            refusal = ParamRefusal("PARAM_INDEX", "EINVAL", reason, Cite("hvmop_set_param"))
        else:
            refusal = _set(name, Setting(value, before.get(name, 0), restore, before))
        if refusal is None or not refusal.certain:
            before[name] = value
        yield Param(number, value, refusal)


def name_of(number: int) -> str:
    """Returns the name of a param: of its index 32 bits count."""
    index = number & _INDEX_MASK
    return catalogue.space("hvm-param").name_of(index) or f"param {index}"


def _set(name: str, setting: Setting) -> ParamRefusal | None:
    """Returns the first refusal of a setting, or what only the host can tell."""
    doubt = None
    for each in in_release(setting.restore.target.version):
        if name not in each.names:
            continue
        try:
            wrong = each.refuses(setting)
        except Undecided as unknown:
            doubt = ParamRefusal(each.id, each.errno, str(unknown), each.cite, certain=False)
            continue
        if wrong:
            return ParamRefusal(each.id, each.errno, wrong, each.cite)
    return doubt


@config_rule(
    id="LIBXL_PARAMS",
    says="Xen takes the params that libxl makes of a configuration, and whose refusal it heeds",
    cite=Cite(
        "hvm_set_conf_params",
        "1e9bc407cf",
        "tools/libxl: Reposition build_pre() logic between architectures",
        "4.14",
    ),
)
def from_configuration(restore: Restore) -> str | None:
    """Refuses a configuration of which Xen refuses a param."""
    if not configured(restore) or domain_type(restore) == PV:
        return None
    before: dict[str, int] = {}
    for name, value in params_set(restore).items():
        refusal = _set(name, Setting(value, 0, restore, before))
        if refusal is None:
            before[name] = value
        elif begun(_HEEDED.get(name, _ALL_HEEDED), restore.target.version):
            if not refusal.certain:
                raise Undecided(refusal.reason)
            return f"{name} = {value:#x}: {refusal.reason}"
    return None


RULES: tuple[Rule, ...] = (from_configuration,)


def objections(restore: Restore) -> Iterator[Objection]:
    """Yields what setting the params comes to, in their order: the first refusal ends it."""
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
