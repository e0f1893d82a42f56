"""What a configuration asks for together, and libxl or Xen gives one of only."""

from __future__ import annotations

from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM, PV, PVH
from xensave.toolstack.libxl.configured import PAGED, config_rule, domain_type
from xensave.toolstack.libxl.creation import PASSED_THROUGH, on_demand
from xensave.toolstack.libxl.hvm_params import altp2m_mode, nested, viridian_groups
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Undecided

_SETDEFAULT = "libxl__domain_config_setdefault"
_DEFAULT_VIEWS = 0xFFFFFFFF
_HVM_VIEWS = 10
_MOST_VIEWS = 512


def _passes_devices(restore: Restore) -> bool:
    asked = restore.config.choice("c_info", "passthrough") in PASSED_THROUGH
    return asked or bool(_devices(restore))


def _devices(restore: Restore) -> object:
    return restore.config.get("pcidevs") or restore.config.get("dtdevs")


@config_rule(
    id="LIBXL_PASSTHROUGH_PVH",
    says="no devices are passed through to PVH domains",
    cite=Cite(_SETDEFAULT, "ad011ad088", "libxl/xl: Overhaul passthrough setting logic", "4.13"),
    since=("4.13",),
    types=(PVH,),
)
def passthrough_pvh(restore: Restore) -> str | None:
    """Refuses passthrough to a PVH domain."""
    return "passthrough to a PVH domain" if _passes_devices(restore) else None


@config_rule(
    id="LIBXL_PASSTHROUGH_DISABLED",
    says="devices are passed through to a domain that is made for it",
    cite=Cite(_SETDEFAULT, "ad011ad088", "libxl/xl: Overhaul passthrough setting logic", "4.13"),
    since=("4.13",),
)
def passthrough_disabled(restore: Restore) -> str | None:
    """Refuses devices where passthrough is disabled."""
    disabled = restore.config.choice("c_info", "passthrough") == "disabled"
    if disabled and _devices(restore):
        return "passthrough is disabled, and there are devices"
    return None


@config_rule(
    id="LIBXL_DEVICES_POD",
    says="devices that are passed through do not go with memory on demand",
    cite=Cite(
        _SETDEFAULT,
        "c63868ff01",
        "libxl: disallow PCI device assignment for HVM guest when PoD is enabled",
        "4.4",
    ),
    until=("4.14.5", "4.15.3", "4.16.1", "4.17"),
)
def devices_on_demand(restore: Restore) -> str | None:
    """Refuses PCI devices of a domain with less memory than it may have."""
    if restore.config.get("pcidevs") and on_demand(restore):
        return "PCI devices and memory on demand"
    return None


@config_rule(
    id="LIBXL_PASSTHROUGH_POD",
    says="passthrough does not go with memory on demand",
    cite=Cite(
        _SETDEFAULT,
        "07449ecfa4",
        "tools/libxl: don't allow IOMMU usage with PoD",
        "4.17",
    ),
    since=("4.14.5", "4.15.3", "4.16.1", "4.17"),
)
def passthrough_on_demand(restore: Restore) -> str | None:
    """Refuses passthrough to a domain with less memory than it may have."""
    if on_demand(restore) and _passes_devices(restore):
        return "passthrough and memory on demand"
    return None


@config_rule(
    id="LIBXL_VNUMA",
    says="virtual NUMA nodes go neither with PV domains nor with memory on demand",
    cite=Cite(_SETDEFAULT, "27524b5e15", "xl/libxl: disable PV vNUMA", "4.6"),
    since=("4.6",),
)
def vnuma(restore: Restore) -> str | None:
    """Refuses virtual NUMA nodes of PV domains, and with memory on demand."""
    if not restore.config.get("b_info", "vnuma_nodes"):
        return None
    if domain_type(restore) == PV:
        return "virtual NUMA nodes of a PV domain"
    return "virtual NUMA nodes and memory on demand" if on_demand(restore) else None


@config_rule(
    id="LIBXL_NESTED_HAP",
    layer=Layer.XEN,
    says="nested virtualisation goes with hardware assisted paging",
    cite=Cite(
        "arch_sanitise_domain_config",
        "dbe399b174",
        "xen/domctl: Introduce and use XEN_DOMCTL_CDF_nested_virt",
        "4.15",
    ),
    errno="EINVAL",
    since=("4.15",),
    types=PAGED,
)
def nested_hap(restore: Restore) -> str | None:
    """Refuses nested virtualisation of a domain with shadow paging."""
    if nested(restore) and restore.config.flag("c_info", "hap") is False:
        return "nested_hvm of a domain with shadow paging"
    return None


@config_rule(
    id="LIBXL_VIRIDIAN",
    says="Viridian groups are on or off, and any needs the base group",
    cite=Cite(
        "hvm_set_viridian_features",
        "25ee478662",
        "tools/libxl: only set viridian flags on new domains",
        "4.15",
    ),
    until=("4.15",),
    types=(HVM,),
)
def viridian(restore: Restore) -> str | None:
    """Refuses Viridian groups that libxl cannot make a mask of; it made one in a restore too."""
    groups = viridian_groups(restore.facts, restore.target)
    if groups.both:
        return f"group {groups.both[0]} is both enabled and disabled"
    if groups.on and "base" not in groups.on:
        return f"group {groups.on[0]} without the base group"
    return None


@config_rule(
    id="LIBXL_ALTP2M_VIEWS",
    layer=Layer.XEN,
    says="a domain with altp2m has 1 - 512 views, on CPUs that have it, and another none",
    cite=Cite(
        "arch_sanitise_domain_config",
        "06cf6cdab4",
        "xen: Make the maximum number of altp2m views configurable for x86",
        "4.21",
    ),
    errno="EINVAL",
    since=("4.21",),
)
def altp2m_views(restore: Restore) -> str | None:
    """Refuses altp2m without views, as a PVH domain has by default, and views without altp2m."""
    count = restore.config.get("b_info", "altp2m_count")
    views = _HVM_VIEWS if domain_type(restore) == HVM else 0
    if isinstance(count, int) and count != _DEFAULT_VIEWS:
        views = count
    if not altp2m_mode(restore):
        return f"{count} views without altp2m" if count == views and views else None
    if not 0 < views <= _MOST_VIEWS:
        return f"altp2m with {views} views"
    if restore.on_amd:
        return "altp2m on a CPU of this vendor"
    raise Undecided("whether the host's CPU has altp2m")


@config_rule(
    id="LIBXL_TRAP_UNMAPPED",
    says="accesses to what is not mapped are trapped on Arm only",
    cite=Cite(
        "libxl__arch_domain_prepare_config",
        "d057628757",
        "tools/arm: Add the trap_unmapped_accesses xl config option",
        "4.21",
    ),
    since=("4.21",),
)
def trap_unmapped(restore: Restore) -> str | None:
    """Refuses a setting of Arm's."""
    asked = restore.config.flag("b_info", "trap_unmapped_accesses")
    return "trap_unmapped_accesses" if asked else None


@config_rule(
    id="LIBXL_LLC_COLORS",
    says="caches are coloured on Arm only",
    cite=Cite(
        "libxl__domain_make",
        "748bd725fb",
        "tools: add support for cache coloring configuration",
        "4.20",
    ),
    since=("4.20",),
)
def llc_colors(restore: Restore) -> str | None:
    """Refuses colours of a cache."""
    colors = restore.config.get("b_info", "llc_colors")
    return "llc_colors" if isinstance(colors, list) and colors else None


RULES: tuple[RestoreRule, ...] = (
    passthrough_pvh,
    passthrough_disabled,
    devices_on_demand,
    passthrough_on_demand,
    vnuma,
    nested_hap,
    viridian,
    altp2m_views,
    trap_unmapped,
    llc_colors,
)
