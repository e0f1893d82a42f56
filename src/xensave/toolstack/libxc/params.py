"""HVM_PARAMS: each is set by HVMOP_set_param in the order of the record, and any may be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.dates import begun, in_force
from xensave.catalogue.errnos import EEXIST, EINVAL, ENODEV, ENOTSUP, EPERM
from xensave.catalogue.model import Cite
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.image.facts.guest import PVH, GuestFacts
from xensave.toolstack.rule import Layer, Objection, Restore, Stage, Target, Undecided

RECORD = "libxc HVM_PARAMS"
PLACE = (LIBXC, libxc.HVM_PARAMS)
_SET = "hvm_set_param"
_ALLOW = "hvm_allow_set_param"
_INDEX_MASK = (1 << 32) - 1
"""xc_hvm_param_set() takes the index as 32 bits."""

_TIMER_MODES = 3
_SHUTDOWN_MAX = 5
_S3 = (0, 3)
_FIP_WIDTHS = (0, 4, 8)
_IOREQ_PAGES = 64
_TSS_SIZE = 104
_LMCE = 1
_BASE_FREQ = 1
_DOMID_SELF = 0x7FF0

# (since, the bits of the VIRIDIAN param that a release knows)
_VIRIDIAN_KNOWN = (
    (("4.15",), 0x1FFF),
    (("4.13",), 0x3FF),
    (("4.9",), 0x7F),
    (("4.7",), 0x3F),
    (("4.6",), 0xF),
    (("4.5",), 0x7),
    (("3.3",), 0x1),
)


class Setting(NamedTuple):
    """One call of HVMOP_set_param: the param's value, what it was before, and the restore."""

    value: int
    before: int
    restore: Restore


@dataclass(frozen=True, slots=True)
class Unless:
    """What a rule demands of a param's value alone, and how it says so."""

    test: Callable[[int], bool]
    says: str

    def __call__(self, setting: Setting) -> str:
        """Return what is wrong, "" for nothing."""
        return "" if self.test(setting.value) else self.says


class ParamRule(NamedTuple):
    """What a release refuses of params: `names`, or every param for ().

    `refuses` returns what is wrong, "" for nothing. In force from `since` to before `until`.
    """

    id: str
    names: tuple[str, ...]
    says: str
    refuses: Callable[[Setting], str]
    errno: str
    cite: Cite
    since: tuple[str, ...] = ()
    until: tuple[str, ...] = ()


def viridian_features(target: Target) -> int:
    """Return the bits of the VIRIDIAN param that a release knows."""
    return next((bits for since, bits in _VIRIDIAN_KNOWN if begun(since, target.version)), 0)


deprecated = Unless(lambda _: False, "it may not be set any more")


def changed(setting: Setting) -> str:
    """Refuse to change a param that was set before."""
    if setting.before and setting.value != setting.before:
        return f"it is {setting.before:#x} already"
    return ""


def viridian(setting: Setting) -> str:
    """Refuse features that the release does not know, and any without the base MSRs."""
    known = viridian_features(setting.restore.target)
    if setting.value & ~known:
        return f"Xen {setting.restore.target.name} knows the features {known:#x}"
    if not setting.value & _BASE_FREQ:
        return "the base and frequency MSRs must be among the features"
    return ""


def acpi_ioports(setting: Setting) -> str:
    """Refuse a location that is neither 0 nor 1."""
    if setting.value != setting.before and setting.value ^ setting.before != 1:
        return "the location is 0 or 1"
    return ""


def pm_timer(setting: Setting) -> str:
    """Refuse the location of a PM timer that the domain has not."""
    return "the domain has no PM timer" if setting.restore.facts.type == PVH else ""


def nested_altp2m(setting: Setting) -> str:
    """Refuse altp2m together with nested virtualisation."""
    nested = setting.restore.facts.config.get("b_info", "nested_hvm") == "True"
    return "altp2m and nested virtualisation exclude each other" if setting.value and nested else ""


def lmce(setting: Setting) -> str:
    """Refuse LMCE on CPUs without it; on Intel's the host decides."""
    if not setting.value & _LMCE:
        return ""
    policy = setting.restore.policy
    if policy is not None and policy.amd:
        return "CPUs of this vendor have no local machine checks"
    raise Undecided("whether the host's CPU has local machine checks (MCA_CAP)")


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

RULES = (
    ParamRule(
        id="PARAM_OBSOLETE",
        names=(*_MEMORY_EVENTS, "DM_DOMAIN", "BUFIOREQ_EVTCHN"),
        says="params without a use may not be set",
        refuses=deprecated,
        errno=EINVAL,
        cite=_OBSOLETE,
        since=("4.14",),
    ),
    ParamRule(
        id="PARAM_OBSOLETE",
        names=("NESTEDHVM",),
        says="params without a use may not be set",
        refuses=deprecated,
        errno=EINVAL,
        cite=Cite(_ALLOW),
        since=("4.15",),
    ),
    ParamRule(
        id="PARAM_OBSOLETE",
        names=("DM_DOMAIN", "BUFIOREQ_EVTCHN"),
        says="params of the default ioreq server may not be set",
        refuses=deprecated,
        errno=EPERM,
        cite=Cite(_ALLOW),
        since=("4.12",),
        until=("4.14",),
    ),
    ParamRule(
        id="PARAM_OBSOLETE",
        names=("BUFIOREQ_EVTCHN",),
        says="the event channel of buffered requests is Xen's to set",
        refuses=deprecated,
        errno=EINVAL,
        cite=Cite("hvmop_set_param"),
        until=("4.12",),
    ),
    ParamRule(
        id="PARAM_OBSOLETE",
        names=_MEMORY_EVENTS,
        says="memory events are not set by params any more",
        refuses=deprecated,
        errno=ENOTSUP,
        cite=Cite("hvmop_set_param"),
        since=("4.6",),
        until=("4.14",),
    ),
    ParamRule(
        id="PARAM_DM_DOMAIN",
        names=("DM_DOMAIN",),
        says="the device model's domain is the caller's own",
        refuses=Unless(lambda value: value == _DOMID_SELF, f"only {_DOMID_SELF:#x} may be set"),
        errno=EINVAL,
        cite=Cite(
            "hvmop_set_param",
            "9a422c035a",
            "x86/hvm: stop passing explicit domid to hvm_create_ioreq_server()",
            "4.11",
        ),
        since=("4.11",),
        until=("4.12",),
    ),
    ParamRule(
        id="PARAM_ALTP2M_READ_ONLY",
        names=("ALTP2M",),
        says="altp2m is set when the domain is created",
        refuses=Unless(lambda _: False, "it is read-only"),
        errno=EEXIST,
        cite=Cite(_ALLOW, "0291089f6e", "xen: enable altp2m at create domain domctl", "4.19"),
        since=("4.19",),
    ),
    ParamRule(
        id="PARAM_ONCE",
        names=("VIRIDIAN", "IOREQ_SERVER_PFN", "NR_IOREQ_SERVER_PAGES", "ALTP2M"),
        says="some params may be set once only",
        refuses=changed,
        errno=EEXIST,
        cite=_ONCE,
        since=("4.5",),
    ),
    ParamRule(
        id="PARAM_ONCE",
        names=("IOREQ_PFN", "BUFIOREQ_PFN"),
        says="some params may be set once only",
        refuses=changed,
        errno=EEXIST,
        cite=_ONCE,
        since=("4.12",),
    ),
    ParamRule(
        id="PARAM_ONCE",
        names=("MCA_CAP",),
        says="some params may be set once only",
        refuses=changed,
        errno=EEXIST,
        cite=_ONCE,
        since=("4.10",),
    ),
    ParamRule(
        id="PARAM_NESTED",
        names=("NESTEDHVM",),
        says="nested virtualisation is on or off",
        refuses=Unless(lambda value: value <= 1, "it is 0 or 1"),
        errno=EINVAL,
        cite=Cite(_SET),
        until=("4.15",),
    ),
    ParamRule(
        id="PARAM_TIMER_MODE",
        names=("TIMER_MODE",),
        says="a timer mode is one of 0 - 3",
        refuses=Unless(lambda value: value <= _TIMER_MODES, "the modes are 0 - 3"),
        errno=EINVAL,
        cite=Cite(
            _SET,
            "485efe9630",
            "hvm: Split no_missed_tick_accounting into two modes",
            "4.0",
        ),
    ),
    ParamRule(
        id="PARAM_VIRIDIAN",
        names=("VIRIDIAN",),
        says="Viridian features are known, the base MSRs among them",
        refuses=viridian,
        errno=EINVAL,
        cite=Cite(_SET),
    ),
    ParamRule(
        id="PARAM_ACPI_S_STATE",
        names=("ACPI_S_STATE",),
        says="an ACPI sleep state is 0 or 3",
        refuses=Unless(lambda value: value in _S3, "the states are 0 and 3"),
        errno=EINVAL,
        cite=Cite(_SET),
    ),
    ParamRule(
        id="PARAM_PM_TIMER",
        names=("ACPI_IOPORTS_LOCATION",),
        says="a domain without a PM timer has no ports for it",
        refuses=pm_timer,
        errno=ENODEV,
        cite=Cite(
            "pmtimer_change_ioport", "b953524f1a", "x86: allow disabling power management", "4.7"
        ),
        since=("4.7",),
    ),
    ParamRule(
        id="PARAM_ACPI_IOPORTS",
        names=("ACPI_IOPORTS_LOCATION",),
        says="the PM timer's ports are at location 0 or 1",
        refuses=acpi_ioports,
        errno=EINVAL,
        cite=Cite("pmtimer_change_ioport"),
    ),
    ParamRule(
        id="PARAM_ALTP2M",
        names=("ALTP2M",),
        says="an altp2m mode is known",
        refuses=Unless(lambda value: value <= 1, "the modes are 0 and 1"),
        errno=EINVAL,
        cite=Cite(_SET, "ea21400128", "x86/altp2m: add altp2mhvm HVM domain parameter", "4.6"),
        since=("4.6",),
        until=("4.9",),
    ),
    ParamRule(
        id="PARAM_ALTP2M",
        names=("ALTP2M",),
        says="an altp2m mode is known",
        refuses=Unless(lambda value: value <= 3, "the modes are 0 - 3"),
        errno=EINVAL,
        cite=Cite(
            _SET, "c47d1d6873", "altp2m: introduce external-only and limited use-cases", "4.9"
        ),
        since=("4.9",),
    ),
    ParamRule(
        id="PARAM_ALTP2M_NESTED",
        names=("ALTP2M",),
        says="altp2m and nested virtualisation exclude each other",
        refuses=nested_altp2m,
        errno=EINVAL,
        cite=Cite(_SET),
        since=("4.6",),
    ),
    ParamRule(
        id="PARAM_TRIPLE_FAULT",
        names=("TRIPLE_FAULT_REASON",),
        says="a shutdown reason is known",
        refuses=Unless(lambda value: value <= _SHUTDOWN_MAX, f"they are 0 - {_SHUTDOWN_MAX}"),
        errno=EINVAL,
        cite=Cite(
            _SET, "63a47721ad", "hvm: Allow triple fault to imply crash rather than reboot", "4.3"
        ),
        since=("4.3",),
    ),
    ParamRule(
        id="PARAM_IOREQ_PAGES",
        names=("NR_IOREQ_SERVER_PAGES",),
        says="ioreq servers have 1 - 64 pages",
        refuses=Unless(
            lambda value: 0 < value <= _IOREQ_PAGES, f"there are 1 - {_IOREQ_PAGES} pages"
        ),
        errno=EINVAL,
        cite=Cite(_SET, "434ae6517a", "ioreq-server: add support for multiple servers", "4.5"),
        since=("4.5",),
    ),
    ParamRule(
        id="PARAM_FIP_WIDTH",
        names=("X87_FIP_WIDTH",),
        says="an x87 instruction pointer has 0, 4 or 8 bytes",
        refuses=Unless(lambda value: value in _FIP_WIDTHS, "the widths are 0, 4 and 8"),
        errno=EINVAL,
        cite=Cite(_SET, "5d768fb1f3", "x86/hvm: add HVM_PARAM_X87_FIP_WIDTH", "4.7"),
        since=("4.7",),
    ),
    ParamRule(
        id="PARAM_TSS",
        names=("VM86_TSS",),
        says="the TSS of real mode lies below 4 GiB",
        refuses=Unless(lambda value: not value >> 32, "it has 32 bits"),
        errno=EINVAL,
        cite=Cite(_SET, "3619af2b2b", "x86/VMX: sanitize VM86 TSS handling", "4.9"),
        since=("4.9",),
    ),
    ParamRule(
        id="PARAM_TSS_SIZE",
        names=("VM86_TSS_SIZED",),
        says="the TSS of real mode holds its base structure",
        refuses=Unless(
            lambda value: value >> 32 >= _TSS_SIZE, f"the TSS has at least {_TSS_SIZE} bytes"
        ),
        errno=EINVAL,
        cite=Cite(_SET, "3619af2b2b", "x86/VMX: sanitize VM86 TSS handling", "4.9"),
        since=("4.9",),
    ),
    ParamRule(
        id="PARAM_MCA_CAP",
        names=("MCA_CAP",),
        says="a machine check capability is known",
        refuses=Unless(lambda value: not value & ~_LMCE, f"known is {_LMCE:#x}"),
        errno=EINVAL,
        cite=Cite(
            "vmce_enable_mca_cap",
            "4e731e9707",
            "x86/vmce, tools/libxl: expose LMCE capability in guest MSR_IA32_MCG_CAP",
            "4.10",
        ),
        since=("4.10",),
    ),
    ParamRule(
        id="PARAM_LMCE",
        names=("MCA_CAP",),
        says="local machine checks need a host that has them",
        refuses=lmce,
        errno=EINVAL,
        cite=Cite(
            "vmce_enable_mca_cap",
            "4e731e9707",
            "x86/vmce, tools/libxl: expose LMCE capability in guest MSR_IA32_MCG_CAP",
            "4.10",
        ),
        since=("4.10",),
    ),
)

DISCARDED = (("PAE_ENABLED", ("4.14",)),)
"""Params that libxc passes over, since when: 1a16fee21c "xen/public: Obsolete
HVM_PARAM_PAE_ENABLED" (4.14)."""


def alone(name: str, value: int, target: Target) -> tuple[ParamRule, str] | None:
    """Return the rule that a param breaks by its value alone, and what is wrong; None for none."""
    for rule in RULES:
        wanted = rule.refuses
        if not isinstance(wanted, Unless) or name not in rule.names or wanted.test(value):
            continue
        if in_force(rule.since, rule.until, target.version):
            return rule, wanted.says
    return None


_VIRIDIAN_UNTIL = ("4.15",)
"""libxl set the configuration's Viridian mask in a restore too, until 25ee478662 "tools/libxl: only
set viridian flags on new domains" (4.15)."""

# What each enlightenment of a configuration sets in the mask.
_ENLIGHTENMENTS = {
    "time_ref_count": 0x4,
    "reference_tsc": 0x8,
    "hcall_remote_tlb_flush": 0x10,
    "apic_assist": 0x20,
    "crash_ctl": 0x40,
    "synic": 0x80,
    "stimer": 0x184,
    "hcall_ipi": 0x200,
}
_BY_DEFAULT = (
    (("4.9",), ("base", "freq", "time_ref_count", "apic_assist", "crash_ctl")),
    (("4.7",), ("base", "freq", "time_ref_count", "apic_assist")),
    (("4.5",), ("base", "freq", "time_ref_count")),
)


def viridian_mask(facts: GuestFacts, target: Target) -> int:
    """Return the Viridian mask that libxl makes of the configuration; 0 for none."""
    groups: set[object] = set()
    hvm = facts.config.get("b_info", "type.hvm")
    chosen = hvm if isinstance(hvm, Mapping) else {}
    if chosen.get("viridian") == "True":
        groups |= set(next((g for since, g in _BY_DEFAULT if begun(since, target.version)), ()))
    groups |= _names(chosen.get("viridian_enable"))
    groups -= _names(chosen.get("viridian_disable"))
    mask = 0
    if "base" in groups:
        mask |= _BASE_FREQ | (0 if "freq" in groups else 0x2)
    for group, bits in _ENLIGHTENMENTS.items():
        mask |= bits if group in groups else 0
    return mask


# The order of libxl's enlightenments: a bitmap in the configuration lists their numbers.
_ORDER = ("base", "freq", *_ENLIGHTENMENTS)


def _names(names: object) -> set[object]:
    if not isinstance(names, list):
        return set()
    return {
        _ORDER[part] if isinstance(part, int) and 0 <= part < len(_ORDER) else part
        for part in names
        if isinstance(part, (int, str))
    }


def objections(restore: Restore) -> Iterator[Objection]:
    """Yield what setting the params comes to, in their order: the first refusal ends it."""
    target = restore.target
    space = catalogue.space("hvm-param")
    limit = dict(space.limits)[target.release.name]
    before = _set_by_libxl(restore)
    rules = [rule for rule in RULES if in_force(rule.since, rule.until, target.version)]
    discarded = {name for name, since in DISCARDED if begun(since, target.version)}
    for wide, value in restore.facts.params:
        index = wide & _INDEX_MASK
        name = space.name_of(index) or f"param {index}"
        if name in discarded:
            continue
        if index >= limit:
            why = f"{name} = {value:#x}: Xen {target.name} has {limit} params"
            yield _objection(restore, "PARAM_INDEX", why, EINVAL, Cite("hvmop_set_param"))
            return
        setting = Setting(value, before.get(name, 0), restore)
        for rule in rules:
            if name not in rule.names:
                continue
            try:
                wrong = rule.refuses(setting)
            except Undecided as doubt:
                yield _objection(restore, rule.id, str(doubt), rule.errno, rule.cite, certain=False)
                continue
            if wrong:
                why = f"{name} = {value:#x}: {wrong}"
                yield _objection(restore, rule.id, why, rule.errno, rule.cite)
                return
        before[name] = value


def _set_by_libxl(restore: Restore) -> dict[str, int]:
    """Return the params that libxl sets from the configuration before the stream is read."""
    target = restore.target
    if begun(_VIRIDIAN_UNTIL, target.version):
        return {}
    return {"VIRIDIAN": viridian_mask(restore.facts, target)}


def _objection(
    restore: Restore, rule: str, reason: str, errno: str, cite: Cite, *, certain: bool = True
) -> Objection:
    offset = restore.facts.firsts.get(PLACE)
    return Objection(rule, Layer.XEN, Stage.STREAM, RECORD, reason, cite, errno, offset, certain)
