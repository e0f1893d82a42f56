"""What Xen refuses of a stream's settings: the CPU policy, the TSC, the width of a PV guest."""

from __future__ import annotations

from functools import partial

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage, Undecided

_TSC_MODES = 2
PVRDTSCP = 3
_NO_PVRDTSCP = Cite("tsc_set_info", "a4ac3d40ec", "x86: Begin to remove TSC mode PVRDTSCP", "4.12")
PVRDTSCP_GONE = Dated(
    "TSC_MODE", "libxc X86_TSC_INFO", "TSC mode 3 is none", _NO_PVRDTSCP, ("4.12",)
)
_hypercall_rule = partial(RestoreRule, layer=Layer.XEN, stage=Stage.STREAM, errno="EINVAL")


@partial(
    _hypercall_rule,
    id="TSC_MODE",
    record="libxc X86_TSC_INFO",
    says="a TSC mode is one of 0 - 2",
    cite=_NO_PVRDTSCP,
    since=PVRDTSCP_GONE.since,
    place=(LIBXC, libxc.X86_TSC_INFO),
)
def tsc_mode(restore: Restore) -> str | None:
    """Refuses modes that there are not (any more)."""
    for info in restore.facts.tsc:
        if info.mode > _TSC_MODES:
            return f"mode {info.mode}, the modes are 0 - {_TSC_MODES}"
    return None


@partial(
    _hypercall_rule,
    id="PV32",
    record="libxc X86_PV_INFO",
    says="a 32-bit PV guest needs a hypervisor that runs such",
    cite=Cite(
        "switch_compat",
        "68d757df8d",
        "x86/pv: Options to disable and/or compile out 32bit PV support",
        "4.14",
    ),
    since=("4.14",),
    place=(LIBXC, libxc.X86_PV_INFO),
)
def pv32(restore: Restore) -> str | None:
    """Leaves 32-bit PV guests to the build, the command line, and CET on the host."""
    if restore.facts.width == 32:
        raise Undecided(
            "whether the hypervisor runs 32-bit PV guests (CONFIG_PV32, pv=no-32, no CET)"
        )
    return None


RULES: tuple[RestoreRule, ...] = (tsc_mode, pv32)
