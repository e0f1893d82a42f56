"""What is refused of the memory that a configuration gives a guest, and of what the stream has."""

from __future__ import annotations

from xensave.catalogue.model import Cite
from xensave.container.streams import libxc
from xensave.image.facts.guest import PV
from xensave.toolstack.libxl.creation import CONFIG, DEFAULT_KB, configured, domain_type
from xensave.toolstack.rule import Layer, Restore, Rule, Stage, Undecided, rule

_SLACK_KB = 1024
"""LIBXL_MAXMEM_CONSTANT: what libxl lets a domain have beyond its target."""
_PAGE_KB = 4
_PAGES_A_VCPU = 256
"""libxl takes so many pages for paging, and one of each MiB of a guest's."""
_LEAST_KB = 128
"""With so much a guest of 32 MiB was seen to restore; with half of it Xen 4.17.7 refused it."""
_COUNT_BITS = 32
_ANY_HOST_KB = 1 << 20
_GFN_BITS = 36
"""Four levels of page tables map so many."""

_CHEAP_BITS = 33
"""A bitmap of so many bits takes a gibibyte of dom0's memory."""


@rule(
    id="LIBXL_MEMORY_STATED",
    layer=Layer.LIBXL,
    stage=Stage.CREATION,
    record=CONFIG,
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
    """Refuses a configuration without the memory's size."""
    if not _paging_memory_is_computed(restore):
        return None
    return "no max_memkb: the memory for paging comes out too large"


@rule(
    id="LIBXL_PAGING_MEMORY",
    layer=Layer.XEN,
    stage=Stage.CREATION,
    record=CONFIG,
    says="a configuration states the memory or the vCPUs: that for paging comes out as 0 else",
    cite=Cite(
        "libxl__arch_domain_create",
        "0be5a00af5",
        "libxl/x86: check return value of SHADOW_OP_SET_ALLOCATION domctl",
        "4.16",
    ),
    errno="ENOMEM",
    since=("4.13.4", "4.14.3", "4.15.1", "4.16"),
    until=("4.17",),
)
def paging_memory(restore: Restore) -> str | None:
    """Refuses a configuration of which the memory for paging comes out as 0.

    The memory's default of all ones leaves 2^46 MiB for paging, and 1 MiB more for each vCPU, of
    which the hypercall takes 32 bits.
    """
    if not _paging_memory_is_computed(restore) or restore.facts.config.integer(
        "b_info", "max_vcpus"
    ):
        return None
    return "neither max_memkb nor max_vcpus: the memory for paging comes out as 0"


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
    """Refuses a PFN that no bitmap reaches, or that no page table of Xen's maps."""
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
    id="LIBXL_MEMORY",
    layer=Layer.XEN,
    stage=Stage.STREAM,
    record="libxc PAGE_DATA",
    says="the pages fit into the domain's target and libxl's slack",
    cite=Cite("assign_pages"),
    place=("libxc", libxc.PAGE_DATA),
)
def memory(restore: Restore) -> str | None:
    """Refuses more pages than the configuration lets the domain have."""
    if not configured(restore):
        return None
    target = restore.facts.config.integer("b_info", "target_memkb")
    if target is None:
        target = restore.facts.config.integer("b_info", "max_memkb")
    pages = restore.facts.pages
    if pages is None:
        return None
    target = DEFAULT_KB if target is None else target
    room = (target + _SLACK_KB) // _PAGE_KB
    if pages.populated <= room:
        return None
    return f"{pages.populated} pages, the configuration gives {room}"


@rule(
    id="LIBXL_PAGING_NONE",
    layer=Layer.XEN,
    stage=Stage.CREATION,
    record=CONFIG,
    says="the memory for paging is not 0: some is in use already",
    cite=Cite(
        "hap_set_allocation",
        "0be5a00af5",
        "libxl/x86: check return value of SHADOW_OP_SET_ALLOCATION domctl",
        "4.16",
    ),
    errno="ENOMEM",
    since=("4.13.4", "4.14.3", "4.15.1", "4.16"),
)
def paging_none(restore: Restore) -> str | None:
    """Refuses to give a domain no memory for paging."""
    kilobytes = restore.facts.config.integer("b_info", "shadow_memkb")
    if not configured(restore) or domain_type(restore) == PV or kilobytes != 0:
        return None
    return "shadow_memkb is 0"


@rule(
    id="LIBXL_PAGING_HOST",
    layer=Layer.XEN,
    stage=Stage.CREATION,
    record=CONFIG,
    says="the host has the memory for paging, which libxl computes from max_memkb",
    cite=Cite("libxl_get_required_shadow_memory"),
    errno="ENOMEM",
    since=("4.13",),
)
def paging_host(restore: Restore) -> str | None:
    """Leaves a guest to the host that takes more memory for paging than for itself."""
    config = restore.facts.config
    if not configured(restore) or domain_type(restore) == PV:
        return None
    paging, most = _kilobytes_for_paging(restore), config.integer("b_info", "max_memkb")
    target = config.integer("b_info", "target_memkb")
    own = most if target is None else target
    if paging is not None and paging > max(own or 0, _ANY_HOST_KB):
        raise Undecided(f"whether the host has {paging} KiB for paging")
    return None


@rule(
    id="LIBXL_PAGING_SIZE",
    layer=Layer.XEN,
    stage=Stage.CREATION,
    record=CONFIG,
    says="the memory for paging is whole pages, fewer than 2^32",
    cite=Cite(
        "arch_set_paging_mempool_size",
        "7c3bbd940d",
        "xen/arm, libxl: Revert XEN_DOMCTL_shadow_op; use p2m mempool hypercalls",
        "4.17",
    ),
    errno="EINVAL",
    since=("4.17",),
)
def paging_size(restore: Restore) -> str | None:
    """Refuses a part of a page, and more than Xen counts; less than libxl computes depends."""
    if not configured(restore) or domain_type(restore) == PV:
        return None
    paging = _kilobytes_for_paging(restore)
    if paging is not None and (paging % _PAGE_KB or paging // _PAGE_KB >> _COUNT_BITS):
        return f"{paging} KiB for paging"
    most = restore.facts.config.integer("b_info", "max_memkb") or 0
    if paging is not None and paging < max(_LEAST_KB, most // 1024 * _PAGE_KB):
        raise Undecided(f"whether {paging} KiB for paging are enough for the guest")
    return None


def _kilobytes_for_paging(restore: Restore) -> int | None:
    """Returns KiB for paging: as configured, or what libxl computes; None without a size."""
    config = restore.facts.config
    configured_kb = config.integer("b_info", "shadow_memkb")
    most = config.integer("b_info", "max_memkb")
    if configured_kb is not None or most is None:
        return configured_kb
    vcpus = config.integer("b_info", "max_vcpus") or 0
    copies = 2 if config.flag("c_info", "hap") is False else 1
    return _PAGE_KB * (_PAGES_A_VCPU * vcpus + copies * (most // 1024))


def _paging_memory_is_computed(restore: Restore) -> bool:
    """Whether libxl computes the memory for paging from a size that is not stated."""
    if not configured(restore) or domain_type(restore) == PV:
        return False
    config = restore.facts.config
    return all(config.integer("b_info", name) is None for name in ("max_memkb", "shadow_memkb"))


RULES: tuple[Rule, ...] = (
    memory_stated,
    paging_memory,
    paging_none,
    paging_host,
    paging_size,
    highest_pfn,
    memory,
)
