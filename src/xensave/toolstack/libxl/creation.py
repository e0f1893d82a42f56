"""What libxl refuses of a configuration before it reads the stream: the domain to be made."""

from __future__ import annotations

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.image.facts.guest import PV, PVH
from xensave.toolstack.libxl.configured import CONFIG, PAGED, TYPES, config_rule, domain_type
from xensave.toolstack.libxl.hvm_params import altp2m_mode, nested
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Undecided

_PVH = Dated(
    "LIBXL_DOMAIN_TYPE",
    CONFIG,
    "there is a domain type pvh",
    Cite(
        "libxl_domain_type_from_string",
        "6cc06d092c",
        "libxl: add PVH support to domain creation",
        "4.10",
    ),
    ("4.10",),
)

_HVM_VCPUS = 128
_PV_VCPUS = 8192
ALTP2M = ("mixed", "external", "limited")
PASSED_THROUGH = ("enabled", "sync_pt", "share_pt")
DEFAULT_KB = 32 * 1024
"""The memory that libxl gives a domain whose configuration does not say."""
_NEED_ASIDE = Dated(
    "LIBXL_NEED_ASIDE",
    CONFIG,
    "a maximum of memory that is not stated is still absent when xl has freed memory; before,"
    " its default stood there, as xl frees memory unless dom0_mem is set",
    Cite(
        "libxl_domain_need_memory",
        "b173750d2b",
        "libxl: libxl_domain_need_memory shouldn't modify b_info",
        "4.8",
    ),
    ("4.8",),
)
_ALTP2M_WITHOUT_POD = Dated(
    "LIBXL_ALTP2M_POD",
    CONFIG,
    "altp2m and memory on demand exclude each other",
    Cite(
        "libxl__domain_create_info_setdefault",
        "3ebe9a1a82",
        "libxl: disallow enabling PoD and ALTP2M at the same time",
        "4.8",
    ),
    ("4.8",),
)
DATED = (_PVH, _NEED_ASIDE, _ALTP2M_WITHOUT_POD)


def on_demand(restore: Restore) -> bool:
    """Tells whether a domain that is not PV starts with less memory than it may have.

    Raises Undecided where that hangs on whether xl frees memory.
    """
    most = restore.config.get("b_info", "max_memkb")
    target = restore.config.get("b_info", "target_memkb")
    if not isinstance(target, int) or domain_type(restore) == PV:
        return False
    if isinstance(most, int):
        return target < most
    # libxl looks before it puts 32 MiB in the place of a maximum that is not stated.
    if target < DEFAULT_KB or _NEED_ASIDE.holds(restore.target.version):
        return True
    raise Undecided("whether xl frees memory (autoballoon): max_memkb has its default by then")


@config_rule(
    id="LIBXL_DOMAIN_TYPE",
    says="the domain's type is one that libxl knows",
    cite=Cite("libxl_domain_type_from_string"),
)
def known_type(restore: Restore) -> str | None:
    """Refuses a type that there is not, PVH before `_PVH` among them."""
    kind = domain_type(restore)
    if kind == PVH and not _PVH.holds(restore.target.version):
        return f"libxl of Xen {restore.target.name} knows no domain type pvh"
    return None if kind in TYPES else f"libxl knows no domain type {kind!r}"


@config_rule(
    id="LIBXL_TYPES_DIFFER",
    says="creation and build are of one type; else xl itself ends in an assertion",
    cite=Cite("libxl__domain_build_info_setdefault"),
    since=("4.10",),
)
def one_type(restore: Restore) -> str | None:
    """Refuses a configuration whose build part is another type's."""
    build = restore.config.get("b_info")
    kinds = [key[5:] for key in build if key.startswith("type.")] if isinstance(build, dict) else []
    kind = domain_type(restore)
    if kind in TYPES and kinds != [kind]:
        words = ", ".join(kinds) or "none"
        return f"the domain's type is {kind}, its build information's {words}: xl crashes"
    return None


@config_rule(
    id="LIBXL_NAME",
    says="a domain has a name",
    cite=Cite("libxl__domain_rename"),
)
def named(restore: Restore) -> str | None:
    """Refuses a domain without a name."""
    name = restore.config.get("c_info", "name")
    return None if isinstance(name, str) else "the domain has no name"


@config_rule(
    id="LIBXL_VCPUS",
    layer=Layer.XEN,
    says="a domain has no more vCPUs than Xen gives one",
    cite=Cite("domain_create"),
    errno="EINVAL",
)
def vcpus(restore: Restore) -> str | None:
    """Refuses more vCPUs than a domain may have; a negative number is a large one."""
    count = restore.config.get("b_info", "max_vcpus")
    if not isinstance(count, int):
        return None
    most = _PV_VCPUS if domain_type(restore) == PV else _HVM_VCPUS
    return None if 0 <= count <= most else f"{count} vCPUs, at most {most}"


@config_rule(
    id="LIBXL_GRANT_VERSION",
    layer=Layer.XEN,
    says="grant tables are of version 1 or 2",
    cite=Cite(
        "grant_table_init",
        "7379f9e10a",
        "gnttab: allow setting max version per-domain",
        "4.16",
    ),
    errno="EINVAL",
    since=("4.16",),
)
def grant_version(restore: Restore) -> str | None:
    """Refuses a version of grant tables that there is not; -1 leaves it to libxl."""
    version = restore.config.get("b_info", "max_grant_version")
    if not isinstance(version, int) or version in (-1, 1, 2):
        return None
    return f"max_grant_version is {version}"


@config_rule(
    id="LIBXL_SHADOW",
    layer=Layer.XEN,
    says="shadow paging is of the hypervisor's build",
    cite=Cite("shadow_domain_init"),
    errno="ENOTSUP",
    since=("4.6",),
    types=PAGED,
)
def shadow(restore: Restore) -> str | None:
    """Leaves shadow paging to the build: without CONFIG_SHADOW_PAGING no such domain is made."""
    if restore.config.flag("c_info", "hap") is False:
        raise Undecided("whether the hypervisor is built with shadow paging (CONFIG_SHADOW_PAGING)")
    return None


@config_rule(
    id="LIBXL_TSC_MODE",
    says="the configured TSC mode is one that the release has",
    cite=Cite(
        "libxl__arch_domain_create", "6b10a4c416", "tools/docs: Remove PVRDTSCP support", "4.12"
    ),
    since=("4.12",),
)
def tsc_mode(restore: Restore) -> str | None:
    """Refuses PVRDTSCP, which is no more."""
    if restore.config.choice("b_info", "tsc_mode") == "native_paravirt":
        return "TSC mode native_paravirt has been removed"
    return None


@config_rule(
    id="LIBXL_POD",
    says="altp2m goes neither with memory on demand nor with nested virtualisation",
    cite=Cite("libxl__domain_config_setdefault"),
    since=("4.6",),
    types=PAGED,
)
def altp2m(restore: Restore) -> str | None:
    """Refuses altp2m with nested HVM, and from 4.8 on with a target below the maximum."""
    if not altp2m_mode(restore):
        return None
    if nested(restore):
        return "altp2m and nested HVM"
    if _ALTP2M_WITHOUT_POD.holds(restore.target.version) and on_demand(restore):
        return "altp2m and memory on demand"
    return None


@config_rule(
    id="LIBXL_ALTP2M_HAP",
    layer=Layer.XEN,
    says="altp2m goes with hardware assisted paging",
    cite=Cite(
        "arch_sanitise_domain_config",
        "0291089f6e",
        "xen: enable altp2m at create domain domctl",
        "4.19",
    ),
    errno="EINVAL",
    since=("4.19",),
)
def altp2m_hap(restore: Restore) -> str | None:
    """Refuses altp2m of a domain without hardware assisted paging, as a PV one is."""
    mode, kind = restore.config.choice("b_info", "altp2m"), domain_type(restore)
    if mode not in ALTP2M:
        return None
    paged = kind != PV and restore.config.flag("c_info", "hap") is not False
    return None if paged else f"altp2m {mode} of a {kind} domain without it"


@config_rule(
    id="LIBXL_VMTRACE",
    layer=Layer.XEN,
    says="buffers for traces are of a CPU that traces",
    cite=Cite(
        "sanitise_domain_config",
        "217dd79ee2",
        "xen/domain: Add vmtrace_size domain creation parameter",
        "4.15",
    ),
    errno="EINVAL",
    since=("4.15",),
)
def vmtrace(restore: Restore) -> str | None:
    """Refuses traces on AMD's CPUs, and leaves them to the host on others."""
    size = restore.config.get("b_info", "vmtrace_buf_kb")
    if not isinstance(size, int) or size in (0, -1):
        return None
    if restore.on_amd:
        return f"vmtrace_buf_kb is {size}: CPUs of this vendor have no processor trace"
    raise Undecided("whether the host's CPU has processor trace")


@config_rule(
    id="LIBXL_VPMU",
    says="a virtual PMU is of a host that has one",
    cite=Cite(
        "libxl__domain_config_setdefault", "dbb948110a", "xen: Expose the PMU to the guests", "4.16"
    ),
    since=("4.16",),
)
def vpmu(restore: Restore) -> str | None:
    """Leaves a virtual PMU to the host, and to how its Xen was started."""
    if restore.config.flag("b_info", "vpmu"):
        raise Undecided("whether the host's Xen has virtual PMUs")
    return None


@config_rule(
    id="LIBXL_POOL",
    says="the CPU pool is one that the host has",
    cite=Cite("libxl__domain_config_setdefault"),
)
def pool(restore: Restore) -> str | None:
    """Leaves another pool than the first to the host."""
    name = restore.config.get("c_info", "pool_name")
    if name not in (None, "Pool-0"):
        raise Undecided(f"whether the host has the CPU pool {name!r}")
    return None


@config_rule(
    id="LIBXL_PASSTHROUGH",
    says="devices passed through must be there",
    cite=Cite("libxl__domain_config_setdefault"),
)
def passthrough(restore: Restore) -> str | None:
    """Leaves passed-through devices to the host."""
    if restore.config.get("pcidevs") or restore.config.get("dtdevs"):
        raise Undecided("whether the host has the devices that are passed through")
    return None


@config_rule(
    id="LIBXL_IOMMU",
    says="a domain made for passthrough is one of a host with an IOMMU",
    cite=Cite(
        "libxl__domain_config_setdefault",
        "babde47a3f",
        "introduce a 'passthrough' configuration option to xl.cfg...",
        "4.13",
    ),
    since=("4.13",),
)
def iommu(restore: Restore) -> str | None:
    """Leaves a domain that may get devices to the host."""
    setting = restore.config.choice("c_info", "passthrough")
    if setting in PASSED_THROUGH:
        raise Undecided(f"whether the host has an IOMMU, for passthrough {setting}")
    return None


RULES: tuple[RestoreRule, ...] = (
    known_type,
    one_type,
    named,
    vcpus,
    grant_version,
    shadow,
    tsc_mode,
    altp2m,
    altp2m_hap,
    vmtrace,
    vpmu,
    pool,
    passthrough,
    iommu,
)
