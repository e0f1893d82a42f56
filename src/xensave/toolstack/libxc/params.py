"""HVM_PARAMS: each is set by HVMOP_set_param in the order of the record, and any may be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.dates import Dated
from xensave.catalogue.errnos import Errno
from xensave.catalogue.model import Cite
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.engine.verdict import Refused
from xensave.image.facts.guest import PV
from xensave.toolstack.libxc.param_rules import DISCARDED, in_release
from xensave.toolstack.libxc.param_settings import ParamSetting
from xensave.toolstack.libxl.configured import CONFIG, config_rule, configured, domain_type
from xensave.toolstack.libxl.hvm_params import params_set
from xensave.toolstack.rule import Layer, Restore, RestoreObjection, RestoreRule, Stage, Undecided

RECORD = "libxc HVM_PARAMS"
PLACE = (LIBXC, libxc.HVM_PARAMS)
_HEEDED = ("VIRIDIAN", "MCA_CAP")
"""Of these libxl gives up in any release where Xen refuses one."""
_ALL_HEEDED = Dated(
    "LIBXL_PARAMS_HEEDED",
    CONFIG,
    "libxl gives up where Xen refuses any param of a configuration",
    Cite(
        "hvm_set_conf_params",
        "1e9bc407cf",
        "tools/libxl: Reposition build_pre() logic between architectures",
        "4.14",
    ),
    ("4.14",),
)
DATED = (_ALL_HEEDED,)
_INDEX_MASK = (1 << 32) - 1
"""xc_hvm_param_set() takes the index as 32 bits; what libxc itself looks for has all 64."""


class Param(NamedTuple):
    """A param as a restore sets it, and why the release refuses it; None where it is taken."""

    number: int
    value: int
    objection: RestoreObjection | None = None


def settings(restore: Restore) -> Iterator[Param]:
    """Yields the guest's params in order, each with what a release makes of it.

    One that is refused counts as not set, for those behind it.
    """
    target = restore.target
    space = catalogue.space("hvm-param")
    limit = dict(space.limits)[target.release.name]
    before = params_set(restore)
    discarded = {name for name, row in DISCARDED if row.holds(target.version)}
    for number, value in restore.facts.params:
        name = name_of(number)
        objection = None
        if name in discarded and number <= _INDEX_MASK:
            pass
        elif number & _INDEX_MASK >= limit:
            reason = f"Xen {target.name} has {limit} params"
            objection = _objection("PARAM_INDEX", reason, "EINVAL", Cite("hvmop_set_param"))
        else:
            objection = _set(name, ParamSetting(value, before.get(name, 0), restore, before))
        if objection is None or not objection.certain:
            before[name] = value
        yield Param(number, value, objection)


def name_of(number: int) -> str:
    """Returns the name of a param: of its index 32 bits count."""
    index = number & _INDEX_MASK
    return catalogue.space("hvm-param").name_of(index) or f"param {index}"


def _set(name: str, setting: ParamSetting) -> RestoreObjection | None:
    """Returns the first refusal of a setting, or what only the host can tell."""
    doubt = None
    for each, period in in_release(setting.restore.target.version):
        if name not in period.names:
            continue
        try:
            wrong = (period.refuses or each.refuses)(setting)
        except Undecided as unknown:
            doubt = _objection(each.id, str(unknown), period.errno, period.cite, certain=False)
            continue
        if wrong:
            return _objection(each.id, wrong, period.errno, period.cite)
    return doubt


def _objection(
    rule: str, reason: str, errno: Errno, cite: Cite, *, certain: bool = True
) -> RestoreObjection:
    return RestoreObjection(
        Refused(rule, reason, Layer.XEN, errno, RECORD, cite=cite), Stage.STREAM, certain
    )


@config_rule(
    id="LIBXL_PARAMS",
    says="Xen takes the params that libxl makes of a configuration, and whose refusal it heeds",
    cite=_ALL_HEEDED.cite,
)
def from_configuration(restore: Restore) -> str | None:
    """Refuses a configuration of which Xen refuses a param."""
    if not configured(restore) or domain_type(restore) == PV:
        return None
    before: dict[str, int] = {}
    for name, value in params_set(restore).items():
        objection = _set(name, ParamSetting(value, 0, restore, before))
        if objection is None:
            before[name] = value
        elif name in _HEEDED or _ALL_HEEDED.holds(restore.target.version):
            reason = objection.refusal.reason
            if not objection.certain:
                raise Undecided(reason)
            return f"{name} = {value:#x}: {reason}"
    return None


RULES: tuple[RestoreRule, ...] = (from_configuration,)


def objections(restore: Restore) -> Iterator[RestoreObjection]:
    """Yields what setting the params comes to, in their order: the first refusal ends it."""
    offset = restore.facts.firsts.get(PLACE)
    for number, value, objection in settings(restore):
        if objection is None:
            continue
        refusal = objection.refusal._replace(offset=offset)
        if objection.certain:
            reason = f"{name_of(number)} = {value:#x}: {refusal.reason}"
            yield objection._replace(refusal=refusal._replace(reason=reason))
            return
        yield objection._replace(refusal=refusal)
