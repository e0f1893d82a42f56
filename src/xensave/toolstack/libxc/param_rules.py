"""What releases refuse of HVM params: a rule is a row with the times in which it holds."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version, in_force
from xensave.catalogue.errnos import Errno
from xensave.catalogue.model import Cite
from xensave.toolstack.libxc.param_settings import (
    LMCE,
    Refuses,
    acpi_ioports,
    acpi_ioports_cut,
    after,
    changed,
    lmce,
    nested_altp2m,
    nested_shadow,
    nested_shadow_amd,
    pm_timer,
    unless,
    viridian,
)

_SET = "hvm_set_param"
_ALLOW = "hvm_allow_set_param"
_TIMER_MODES = 3
_SHUTDOWN_MAX = 5
_S3 = (0, 3)
_FIP_WIDTHS = (0, 4, 8)
_IOREQ_PAGES = 64
_TSS_SIZE = 104
_DOMID_SELF = 0x7FF0


class Period(NamedTuple):
    """When a rule holds, of which params, and with which errno: from `since` to before `until`.

    `refuses` is its own test in that time, where that is not the rule's.
    """

    names: tuple[str, ...]
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    errno: Errno = "EINVAL"
    refuses: Refuses | None = None


class ParamRule(NamedTuple):
    """What releases refuse of params, and in which times."""

    id: str
    says: str
    refuses: Refuses
    periods: tuple[Period, ...]


_MEMORY_EVENTS = tuple(
    f"MEMORY_EVENT_{name}" for name in ("CR0", "CR3", "CR4", "INT3", "SINGLE_STEP", "MSR")
)
_OBSOLETE = Cite(_ALLOW, "ea53652d78", "xen/hvm: Fix handling of obsolete HVM_PARAMs", "4.14")
_ONCE = Cite(
    _ALLOW,
    "ec9f99e1be",
    "x86/hvm: introduce functions for HVMOP_get/set_param allowance checks",
    "4.6",
)

_OWN_DOMAIN = Cite(
    "hvmop_set_param",
    "9a422c035a",
    "x86/hvm: stop passing explicit domid to hvm_create_ioreq_server()",
    "4.11",
)
_ALTP2M_CREATED = Cite(_ALLOW, "0291089f6e", "xen: enable altp2m at create domain domctl", "4.19")
_MISSED_TICKS = Cite(
    _SET, "485efe9630", "hvm: Split no_missed_tick_accounting into two modes", "4.0"
)
_PM_WHOLE = Cite(
    "pmtimer_change_ioport",
    "4be325e5d4",
    "x86/HVM: avoid truncation of PM timer I/O port range version",
    "4.14",
)
_NESTED_HAP = Cite(_SET, "77751ed79e", "x86/hvm: check HAP before enabling nested VMX", "4.9")
_NESTED_CREATED = Cite(
    _SET, "f5bdb4aaa1", "x86/hvm: Obsolete the use of HVM_PARAM_NESTEDHVM", "4.15"
)
_NO_PM = Cite("pmtimer_change_ioport", "b953524f1a", "x86: allow disabling power management", "4.7")
_ALTP2M = Cite(_SET, "ea21400128", "x86/altp2m: add altp2mhvm HVM domain parameter", "4.6")
_ALTP2M_LIMITED = Cite(
    _SET, "c47d1d6873", "altp2m: introduce external-only and limited use-cases", "4.9"
)
_TRIPLE_FAULT = Cite(
    _SET, "63a47721ad", "hvm: Allow triple fault to imply crash rather than reboot", "4.3"
)
_SERVERS = Cite(_SET, "434ae6517a", "ioreq-server: add support for multiple servers", "4.5")
_FIP_WIDTH = Cite(_SET, "5d768fb1f3", "x86/hvm: add HVM_PARAM_X87_FIP_WIDTH", "4.7")
_TSS = Cite(_SET, "3619af2b2b", "x86/VMX: sanitize VM86 TSS handling", "4.9")
_MCA = Cite(
    "vmce_enable_mca_cap",
    "4e731e9707",
    "x86/vmce, tools/libxl: expose LMCE capability in guest MSR_IA32_MCG_CAP",
    "4.10",
)
_ONCE_EVER = ("VIRIDIAN", "IOREQ_SERVER_PFN", "NR_IOREQ_SERVER_PAGES", "ALTP2M")
_DEFAULT_SERVER = ("DM_DOMAIN", "BUFIOREQ_EVTCHN")

RULES = (
    ParamRule(
        id="PARAM_OBSOLETE",
        says="params without a use may not be set",
        refuses=unless(lambda _: False, "it may not be set any more"),
        periods=(
            Period(("BUFIOREQ_EVTCHN",), Cite("hvmop_set_param"), until=("4.12",)),
            Period(_DEFAULT_SERVER, Cite(_ALLOW), ("4.12",), ("4.14",), "EPERM"),
            Period(_MEMORY_EVENTS, Cite("hvmop_set_param"), ("4.6",), ("4.14",), "ENOTSUP"),
            Period((*_MEMORY_EVENTS, *_DEFAULT_SERVER, "PAE_ENABLED"), _OBSOLETE, ("4.14",)),
            Period(("NESTEDHVM",), Cite(_ALLOW), ("4.15",)),
        ),
    ),
    ParamRule(
        id="PARAM_DM_DOMAIN",
        says="the device model's domain is the caller's own",
        refuses=unless(lambda value: value == _DOMID_SELF, f"only {_DOMID_SELF:#x} may be set"),
        periods=(Period(("DM_DOMAIN",), _OWN_DOMAIN, ("4.11",), ("4.12",)),),
    ),
    ParamRule(
        id="PARAM_ALTP2M_READ_ONLY",
        says="altp2m is set when the domain is created",
        refuses=unless(lambda _: False, "it is read-only"),
        periods=(Period(("ALTP2M",), _ALTP2M_CREATED, ("4.19",), errno="EEXIST"),),
    ),
    ParamRule(
        id="PARAM_ONCE",
        says="some params may be set once only",
        refuses=changed,
        periods=(
            Period(_ONCE_EVER, _ONCE, ("4.5",), errno="EEXIST"),
            Period(("MCA_CAP",), _ONCE, ("4.10",), errno="EEXIST"),
            Period(("IOREQ_PFN", "BUFIOREQ_PFN"), _ONCE, ("4.12",), errno="EEXIST"),
        ),
    ),
    ParamRule(
        id="PARAM_NESTED",
        says="nested virtualisation is on or off",
        refuses=unless(lambda value: value <= 1, "it is 0 or 1"),
        periods=(Period(("NESTEDHVM",), Cite(_SET), until=("4.15",)),),
    ),
    ParamRule(
        id="PARAM_TIMER_MODE",
        says="a timer mode is one of 0 - 3",
        refuses=unless(lambda value: value <= _TIMER_MODES, "the modes are 0 - 3"),
        periods=(Period(("TIMER_MODE",), _MISSED_TICKS),),
    ),
    ParamRule(
        id="PARAM_VIRIDIAN",
        says="Viridian features are known, the base MSRs among them",
        refuses=viridian,
        periods=(Period(("VIRIDIAN",), Cite(_SET)),),
    ),
    ParamRule(
        id="PARAM_ACPI_S_STATE",
        says="an ACPI sleep state is 0 or 3",
        refuses=unless(lambda value: value in _S3, "the states are 0 and 3"),
        periods=(Period(("ACPI_S_STATE",), Cite(_SET)),),
    ),
    ParamRule(
        id="PARAM_PM_TIMER",
        says="a domain without a PM timer has no ports for it",
        refuses=pm_timer,
        periods=(Period(("ACPI_IOPORTS_LOCATION",), _NO_PM, ("4.7",), errno="ENODEV"),),
    ),
    ParamRule(
        id="PARAM_ACPI_IOPORTS",
        says="the PM timer's ports are at location 0 or 1",
        refuses=acpi_ioports,
        periods=(
            Period(
                ("ACPI_IOPORTS_LOCATION",),
                Cite("pmtimer_change_ioport"),
                until=("4.14",),
                refuses=acpi_ioports_cut,
            ),
            Period(("ACPI_IOPORTS_LOCATION",), _PM_WHOLE, ("4.14",)),
        ),
    ),
    ParamRule(
        id="PARAM_ALTP2M",
        says="an altp2m mode is known",
        refuses=unless(lambda value: value <= 3, "the modes are 0 - 3"),
        periods=(
            Period(
                ("ALTP2M",),
                _ALTP2M,
                ("4.6",),
                ("4.9",),
                refuses=unless(lambda value: value <= 1, "the modes are 0 and 1"),
            ),
            Period(("ALTP2M",), _ALTP2M_LIMITED, ("4.9",)),
        ),
    ),
    ParamRule(
        id="PARAM_ALTP2M_NESTED",
        says="altp2m and nested virtualisation exclude each other",
        refuses=nested_altp2m,
        periods=(
            Period(("ALTP2M",), Cite(_SET), ("4.6",), ("4.15",), refuses=after("NESTEDHVM")),
            Period(("NESTEDHVM",), Cite(_SET), ("4.6",), ("4.15",), refuses=after("ALTP2M")),
            Period(("ALTP2M",), _NESTED_CREATED, ("4.15",)),
        ),
    ),
    ParamRule(
        id="PARAM_NESTED_HAP",
        says="nested virtualisation goes with hardware assisted paging",
        refuses=nested_shadow,
        periods=(
            Period(("NESTEDHVM",), Cite(_SET), until=("4.9",), refuses=nested_shadow_amd),
            Period(("NESTEDHVM",), _NESTED_HAP, ("4.9",), ("4.15",)),
        ),
    ),
    ParamRule(
        id="PARAM_TRIPLE_FAULT",
        says="a shutdown reason is known",
        refuses=unless(lambda value: value <= _SHUTDOWN_MAX, f"they are 0 - {_SHUTDOWN_MAX}"),
        periods=(Period(("TRIPLE_FAULT_REASON",), _TRIPLE_FAULT, ("4.3",)),),
    ),
    ParamRule(
        id="PARAM_IOREQ_PAGES",
        says="ioreq servers have 1 - 64 pages",
        refuses=unless(
            lambda value: 0 < value <= _IOREQ_PAGES, f"there are 1 - {_IOREQ_PAGES} pages"
        ),
        periods=(Period(("NR_IOREQ_SERVER_PAGES",), _SERVERS, ("4.5",)),),
    ),
    ParamRule(
        id="PARAM_FIP_WIDTH",
        says="an x87 instruction pointer has 0, 4 or 8 bytes",
        refuses=unless(lambda value: value in _FIP_WIDTHS, "the widths are 0, 4 and 8"),
        periods=(Period(("X87_FIP_WIDTH",), _FIP_WIDTH, ("4.7",)),),
    ),
    ParamRule(
        id="PARAM_TSS",
        says="the TSS of real mode lies below 4 GiB",
        refuses=unless(lambda value: not value >> 32, "it has 32 bits"),
        periods=(Period(("VM86_TSS",), _TSS, ("4.9",)),),
    ),
    ParamRule(
        id="PARAM_TSS_SIZE",
        says="the TSS of real mode holds its base structure",
        refuses=unless(
            lambda value: value >> 32 >= _TSS_SIZE, f"the TSS has at least {_TSS_SIZE} bytes"
        ),
        periods=(Period(("VM86_TSS_SIZED",), _TSS, ("4.9",)),),
    ),
    ParamRule(
        id="PARAM_MCA_CAP",
        says="a machine check capability is known",
        refuses=unless(lambda value: not value & ~LMCE, f"known is {LMCE:#x}"),
        periods=(Period(("MCA_CAP",), _MCA, ("4.10",)),),
    ),
    ParamRule(
        id="PARAM_LMCE",
        says="local machine checks need a host that has them",
        refuses=lmce,
        periods=(Period(("MCA_CAP",), _MCA, ("4.10",)),),
    ),
)

DISCARDED = (
    (
        "PAE_ENABLED",
        Dated(
            "LIBXC_PARAM_DISCARDED",
            "libxc HVM_PARAMS",
            "libxc passes over PAE_ENABLED",
            Cite(
                "handle_hvm_params",
                "1a16fee21c",
                "xen/public: Obsolete HVM_PARAM_PAE_ENABLED",
                "4.14",
            ),
            ("4.14",),
        ),
    ),
)
"""Params that libxc passes over, since when."""


@cache
def in_release(at: Version) -> tuple[tuple[ParamRule, Period], ...]:
    """Returns the rules in force in a release with their periods, in the order of its asking."""
    return tuple(
        (rule, period)
        for rule in RULES
        for period in rule.periods
        if in_force(period.since, period.until, at)
    )
