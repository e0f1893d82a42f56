"""What libxl refuses of a configuration before it reads the stream: the domain to be made."""

from __future__ import annotations

from collections.abc import Mapping

from xensave.catalogue.dates import begun
from xensave.catalogue.errnos import EINVAL, ENOTSUP
from xensave.catalogue.model import Cite
from xensave.container.streams import libxc
from xensave.image.facts.guest import HVM, PV, PVH
from xensave.toolstack.rule import Layer, Restore, Rule, Stage, Undecided, rule

TYPES = (PV, HVM, PVH)
_CONFIG = "xl header"
_SLACK_KB = 1024
"""LIBXL_MAXMEM_CONSTANT: what libxl lets a domain have beyond its target."""
_PAGE_KB = 4
_DEFAULT_KB = 32 * 1024
_HVM_VCPUS = 128
_GFN_BITS = 36
"""Four levels of page tables map so many."""

_CHEAP_BITS = 33
"""A bitmap of so many bits takes a gibibyte of dom0's memory."""

TRADITIONAL = "qemu_xen_traditional"
# The least video memory in KiB by the kind of card, with QEMU's own device model.
_VIDEO_KB = {"std": 16 * 1024, "cirrus": 8 * 1024, "qxl": 128 * 1024}


def _configured(restore: Restore) -> bool:
    """Whether xl has a configuration to make the domain of; other toolstacks have their own."""
    return restore.facts.xl is not None and bool(restore.facts.config.values)


def domain_type(restore: Restore) -> object:
    """Return the type of the domain that is made: by the configuration, else by the stream."""
    if _configured(restore):
        return restore.facts.config.get("c_info", "type")
    return restore.facts.type


@rule(
    id="LIBXL_DOMAIN_TYPE",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="the domain's type is one that libxl knows",
    cite=Cite("libxl_domain_type_from_string"),
)
def known_type(restore: Restore) -> str | None:
    """Refuse a type that there is not, PVH before 4.10 among them."""
    if not _configured(restore):
        return None
    kind = domain_type(restore)
    if kind == PVH and not begun(("4.10",), restore.target.version):
        return f"libxl of Xen {restore.target.name} knows no domain type pvh"
    return None if kind in TYPES else f"libxl knows no domain type {kind!r}"


@rule(
    id="LIBXL_TYPES_DIFFER",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="creation and build are of one type; else xl itself ends in an assertion",
    cite=Cite("libxl__domain_build_info_setdefault"),
    since=("4.10",),
)
def one_type(restore: Restore) -> str | None:
    """Refuse a configuration whose build part is another type's."""
    if not _configured(restore):
        return None
    build = restore.facts.config.get("b_info")
    kinds = [key[5:] for key in build if key.startswith("type.")] if isinstance(build, dict) else []
    kind = domain_type(restore)
    if kind in TYPES and kinds != [kind]:
        found = ", ".join(kinds) or "none"
        return f"the domain's type is {kind}, its build information's {found}: xl crashes"
    return None


@rule(
    id="LIBXL_NAME",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="a domain has a name",
    cite=Cite("libxl__domain_rename"),
)
def named(restore: Restore) -> str | None:
    """Refuse a domain without a name."""
    if _configured(restore) and not restore.facts.config.get("c_info", "name"):
        return "the domain has no name"
    return None


@rule(
    id="LIBXL_VCPUS",
    layer=Layer.XEN,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="a domain has no more vCPUs than Xen gives one",
    cite=Cite("domain_create"),
    errno=EINVAL,
)
def vcpus(restore: Restore) -> str | None:
    """Refuse more vCPUs than an HVM domain may have."""
    count = restore.facts.config.get("b_info", "max_vcpus")
    if domain_type(restore) == PV or not isinstance(count, int):
        return None
    return f"{count} vCPUs, at most {_HVM_VCPUS}" if count > _HVM_VCPUS else None


@rule(
    id="LIBXL_SHADOW",
    layer=Layer.XEN,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="shadow paging is of the hypervisor's build",
    cite=Cite("shadow_domain_init"),
    errno=ENOTSUP,
    since=("4.6",),
)
def shadow(restore: Restore) -> str | None:
    """Leave shadow paging to the build: without CONFIG_SHADOW_PAGING no such domain is made."""
    if domain_type(restore) != PV and restore.facts.config.get("c_info", "hap") == "False":
        raise Undecided("whether the hypervisor is built with shadow paging (CONFIG_SHADOW_PAGING)")
    return None


@rule(
    id="LIBXL_MEMORY_STATED",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="a configuration states the memory: that for paging is computed from it",
    cite=Cite(
        "libxl__domain_set_paging_mempool_size",
        "7c3bbd940d",
        "xen/arm, libxl: Revert XEN_DOMCTL_shadow_op; use p2m mempool hypercalls",
        "4.17",
    ),
    since=("4.17",),
)
def memory_stated(restore: Restore) -> str | None:
    """Refuse a configuration without the memory's size."""
    if not _configured(restore) or domain_type(restore) == PV:
        return None
    if restore.facts.config.get("b_info", "max_memkb") is None:
        return "no max_memkb: the memory for paging comes out too large"
    return None


@rule(
    id="LIBXL_MEMORY",
    layer=Layer.XEN,
    stage=Stage.STREAM,
    record="libxc PAGE_DATA",
    says="the pages fit into the domain's target and libxl's slack",
    cite=Cite("assign_pages"),
    place=("libxc", libxc.PAGE_DATA),
)
def memory(restore: Restore) -> str | None:
    """Refuse more pages than the configuration lets the domain have."""
    if not _configured(restore):
        return None
    build = restore.facts.config.get("b_info")
    settings = build if isinstance(build, Mapping) else {}
    most = settings.get("max_memkb", _DEFAULT_KB)
    target = settings.get("target_memkb", most)
    pages = restore.facts.pages
    if not isinstance(target, int) or pages is None:
        return None
    room = (target + _SLACK_KB) // _PAGE_KB
    if pages.populated <= room:
        return None
    return f"{pages.populated} pages, the configuration gives {room}"


@rule(
    id="LIBXC_HIGHEST_PFN",
    layer=Layer.LIBXC,
    stage=Stage.STREAM,
    record="libxc PAGE_DATA",
    says="libxc keeps a bit for each PFN up to the highest",
    cite=Cite("pfn_set_populated"),
    place=("libxc", libxc.PAGE_DATA),
)
def highest_pfn(restore: Restore) -> str | None:
    """Refuse a PFN that no bitmap reaches, or that no page table of Xen's maps."""
    pages = restore.facts.pages
    if pages is None or not pages.runs:
        return None
    last = pages.runs[-1][1]
    if last >> _GFN_BITS:
        return f"PFN {last:#x}: a guest's addresses end below 2^{_GFN_BITS} pages"
    if last >> _CHEAP_BITS:
        raise Undecided(f"whether dom0 has memory for a bitmap up to PFN {last:#x}")
    return None


@rule(
    id="LIBXL_DEVICE_MODEL",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="the device model is one that the release has",
    cite=Cite(
        "libxl_device_model_version_from_string",
        "19ab8356ab",
        "tools: remove support for running a guest with qemu-traditional",
        "4.21",
    ),
    since=("4.21",),
)
def device_model(restore: Restore) -> str | None:
    """Refuse qemu-xen-traditional, which is no more."""
    if restore.facts.config.get("b_info", "device_model_version") == TRADITIONAL:
        return f"libxl of Xen {restore.target.name} knows no device model {TRADITIONAL}"
    return None


@rule(
    id="LIBXL_VIDEO_MEMORY",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="a video card has the memory that QEMU wants for it",
    cite=Cite("libxl__domain_build_info_setdefault"),
)
def video(restore: Restore) -> str | None:
    """Refuse too little video memory for the card."""
    config = restore.facts.config
    if domain_type(restore) != HVM or not _configured(restore):
        return None
    if config.get("b_info", "device_model_version") == TRADITIONAL:
        return None
    kind = config.get("b_info", "type.hvm", "vga", "kind") or "cirrus"
    size = config.get("b_info", "video_memkb")
    least = _VIDEO_KB.get(kind, 0) if isinstance(kind, str) else 0
    if isinstance(size, int) and 0 <= size < least:
        return f"{size} KiB of video memory, card {kind} takes {least} at least"
    return None


@rule(
    id="LIBXL_BIOS",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="ROMBIOS goes with qemu-xen-traditional, and with no other",
    cite=Cite("libxl__domain_build_info_setdefault"),
)
def bios(restore: Restore) -> str | None:
    """Refuse firmware that the device model does not load."""
    config = restore.facts.config
    if domain_type(restore) != HVM or not _configured(restore):
        return None
    firmware = config.get("b_info", "type.hvm", "bios")
    old = config.get("b_info", "device_model_version") == TRADITIONAL
    if firmware is None or (firmware == "rombios") == old:
        return None
    return f"firmware {firmware} with device model {TRADITIONAL if old else 'qemu_xen'}"


@rule(
    id="LIBXL_DIRECT_BOOT",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="a ramdisk or command line of an HVM guest goes with a kernel",
    cite=Cite("libxl__domain_build_info_setdefault"),
)
def direct_boot(restore: Restore) -> str | None:
    """Refuse direct boot without a kernel."""
    build = restore.facts.config.get("b_info")
    if domain_type(restore) != HVM or not isinstance(build, Mapping) or build.get("kernel"):
        return None
    given = [name for name in ("ramdisk", "cmdline") if build.get(name) is not None]
    return f"{given[0]} without a kernel" if given and _configured(restore) else None


@rule(
    id="LIBXL_USB",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="a USB version and the older USB settings exclude each other",
    cite=Cite("libxl__domain_build_info_setdefault"),
)
def usb(restore: Restore) -> str | None:
    """Refuse two ways of having USB at once."""
    hvm = restore.facts.config.get("b_info", "type.hvm")
    if domain_type(restore) != HVM or not isinstance(hvm, Mapping):
        return None
    older = hvm.get("usb") == "True" or hvm.get("usbdevice") or hvm.get("usbdevice_list")
    if hvm.get("usbversion") and older:
        return "usbversion together with usb or usbdevice"
    return None


@rule(
    id="LIBXL_TSC_MODE",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="the configured TSC mode is one that the release has",
    cite=Cite(
        "libxl__arch_domain_create", "6b10a4c416", "tools/docs: Remove PVRDTSCP support", "4.12"
    ),
    since=("4.12",),
)
def tsc_mode(restore: Restore) -> str | None:
    """Refuse PVRDTSCP, which is no more."""
    mode = restore.facts.config.get("b_info", "tsc_mode")
    if _configured(restore) and mode == "native_paravirt":
        return "TSC mode native_paravirt has been removed"
    return None


@rule(
    id="LIBXL_POD",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="altp2m goes neither with memory on demand nor with nested virtualisation",
    cite=Cite("libxl__domain_config_setdefault"),
)
def altp2m(restore: Restore) -> str | None:
    """Refuse altp2m with a target below the maximum, or with nested HVM."""
    build = restore.facts.config.get("b_info")
    if domain_type(restore) == PV or not isinstance(build, Mapping) or not _configured(restore):
        return None
    hvm = build.get("type.hvm")
    older = isinstance(hvm, Mapping) and hvm.get("altp2m") == "True"
    if not older and build.get("altp2m") in (None, "disabled"):
        return None
    most, target = build.get("max_memkb"), build.get("target_memkb")
    if isinstance(most, int) and isinstance(target, int) and target < most:
        return "altp2m and memory on demand"
    return "altp2m and nested HVM" if build.get("nested_hvm") == "True" else None


@rule(
    id="LIBXL_POOL",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="the CPU pool is one that the host has",
    cite=Cite("libxl__domain_config_setdefault"),
)
def pool(restore: Restore) -> str | None:
    """Leave another pool than the first to the host."""
    name = restore.facts.config.get("c_info", "pool_name")
    if _configured(restore) and name not in (None, "Pool-0"):
        raise Undecided(f"whether the host has the CPU pool {name!r}")
    return None


@rule(
    id="LIBXL_PASSTHROUGH",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=_CONFIG,
    says="devices passed through must be there",
    cite=Cite("libxl__domain_config_setdefault"),
)
def passthrough(restore: Restore) -> str | None:
    """Leave passed-through devices to the host."""
    if restore.facts.config.get("pcidevs") or restore.facts.config.get("dtdevs"):
        raise Undecided("whether the host has the devices that are passed through")
    return None


RULES: tuple[Rule, ...] = (
    known_type,
    one_type,
    named,
    vcpus,
    shadow,
    memory_stated,
    device_model,
    video,
    bios,
    direct_boot,
    usb,
    tsc_mode,
    altp2m,
    pool,
    passthrough,
    highest_pfn,
    memory,
)
