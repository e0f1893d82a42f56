"""What is refused of the memory that a configuration gives a guest, and of what the stream has."""

from __future__ import annotations

from functools import partial

from xensave.catalogue.model import Cite
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.toolstack.libxl.configured import PAGED, config_rule, configured
from xensave.toolstack.libxl.creation import DEFAULT_KB
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage, Undecided

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


@config_rule(
    id="LIBXL_MEMORY_STATED",
    says="a configuration states the memory: that for paging is computed from it",
    cite=Cite(
        "libxl__domain_set_paging_mempool_size",
        "7c3bbd940d",
        "xen/arm, libxl: Revert XEN_DOMCTL_shadow_op; use p2m mempool hypercalls",
        "4.17",
    ),
    since=("4.17",),
    types=PAGED,
)
def memory_stated(restore: Restore) -> str | None:
    """Refuses a configuration without the memory's size."""
    wrong = "no max_memkb: the memory for paging comes out too large"
    return None if _states_memory(restore) else wrong


@config_rule(
    id="LIBXL_PAGING_MEMORY",
    layer=Layer.XEN,
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
    types=PAGED,
)
def paging_memory(restore: Restore) -> str | None:
    """Refuses a configuration of which the memory for paging comes out as 0.

    The memory's default of all ones leaves 2^46 MiB for paging, and 1 MiB more for each vCPU, of
    which the hypercall takes 32 bits.
    """
    wrong = "neither max_memkb nor max_vcpus: the memory for paging comes out as 0"
    vcpus = restore.config.integer("b_info", "max_vcpus")
    return None if vcpus or _states_memory(restore) else wrong


@partial(
    RestoreRule,
    id="LIBXC_HIGHEST_PFN",
    layer=Layer.LIBXC,
    stage=Stage.STREAM,
    record="libxc PAGE_DATA",
    says="libxc keeps a bit for each PFN up to the highest",
    cite=Cite("pfn_set_populated"),
    place=(LIBXC, libxc.PAGE_DATA),
)
def highest_pfn(restore: Restore) -> str | None:
    """Refuses a PFN that no bitmap reaches, or that no page table of Xen's maps."""
    facts = restore.facts
    pages = facts.pages
    if pages is None:
        # Each record was walked over, and what they list is too much to keep.
        walked = facts.broken is not None and not facts.unread
        if walked and facts.has(LIBXC, libxc.PAGE_DATA):
            raise Undecided(
                "whether the guest's pages fit: too many are scattered or of other types"
            )
        return None
    if not pages.runs:
        return None
    last = pages.runs[-1][1]
    if last >> _GFN_BITS:
        return f"PFN {last:#x}: a guest's addresses end below 2^{_GFN_BITS} pages"
    if last >> _CHEAP_BITS:
        raise Undecided(f"whether dom0 has memory for a bitmap up to PFN {last:#x}")
    return None


@partial(
    RestoreRule,
    id="LIBXL_MEMORY",
    layer=Layer.XEN,
    stage=Stage.STREAM,
    record="libxc PAGE_DATA",
    says="the pages fit into the domain's target and libxl's slack",
    cite=Cite("assign_pages"),
    place=(LIBXC, libxc.PAGE_DATA),
    asked=configured,
)
def memory(restore: Restore) -> str | None:
    """Refuses more pages than the configuration lets the domain have."""
    target = _target(restore)
    pages = restore.facts.pages
    room = ((DEFAULT_KB if target is None else target) + _SLACK_KB) // _PAGE_KB
    if pages is None or pages.populated <= room:
        return None
    return f"{pages.populated} pages, the configuration gives {room}"


def _target(restore: Restore) -> int | None:
    """Returns the KiB that a domain starts with, None where the configuration does not say."""
    target = restore.config.integer("b_info", "target_memkb")
    return restore.config.integer("b_info", "max_memkb") if target is None else target


@config_rule(
    id="LIBXL_PAGING_NONE",
    layer=Layer.XEN,
    says="the memory for paging is not 0: some is in use already",
    cite=Cite(
        "hap_set_allocation",
        "0be5a00af5",
        "libxl/x86: check return value of SHADOW_OP_SET_ALLOCATION domctl",
        "4.16",
    ),
    errno="ENOMEM",
    since=("4.13.4", "4.14.3", "4.15.1", "4.16"),
    types=PAGED,
)
def paging_none(restore: Restore) -> str | None:
    """Refuses to give a domain no memory for paging."""
    none = restore.config.integer("b_info", "shadow_memkb") == 0
    return "shadow_memkb is 0" if none else None


@config_rule(
    id="LIBXL_PAGING_HOST",
    layer=Layer.XEN,
    says="the host has the memory for paging, which libxl computes from max_memkb",
    cite=Cite("libxl_get_required_shadow_memory"),
    errno="ENOMEM",
    since=("4.13",),
    types=PAGED,
)
def paging_host(restore: Restore) -> str | None:
    """Leaves a guest to the host that takes more memory for paging than for itself."""
    paging = _kilobytes_for_paging(restore)
    if paging is not None and paging > max(_target(restore) or 0, _ANY_HOST_KB):
        raise Undecided(f"whether the host has {paging} KiB for paging")
    return None


@config_rule(
    id="LIBXL_PAGING_SIZE",
    layer=Layer.XEN,
    says="the memory for paging is whole pages, fewer than 2^32",
    cite=Cite(
        "arch_set_paging_mempool_size",
        "7c3bbd940d",
        "xen/arm, libxl: Revert XEN_DOMCTL_shadow_op; use p2m mempool hypercalls",
        "4.17",
    ),
    errno="EINVAL",
    since=("4.17",),
    types=PAGED,
)
def paging_size(restore: Restore) -> str | None:
    """Refuses a part of a page, and more than Xen counts; less than libxl computes depends."""
    paging = _kilobytes_for_paging(restore)
    if paging is None:
        return None
    if paging % _PAGE_KB or paging // _PAGE_KB >> _COUNT_BITS:
        return f"{paging} KiB for paging"
    most = restore.config.integer("b_info", "max_memkb") or 0
    if paging < max(_LEAST_KB, most // 1024 * _PAGE_KB):
        raise Undecided(f"whether {paging} KiB for paging are enough for the guest")
    return None


def _kilobytes_for_paging(restore: Restore) -> int | None:
    """Returns KiB for paging: as configured, or what libxl computes; None without a size."""
    config = restore.config
    configured_kb = config.integer("b_info", "shadow_memkb")
    most = config.integer("b_info", "max_memkb")
    if configured_kb is not None or most is None:
        return configured_kb
    vcpus = config.integer("b_info", "max_vcpus") or 0
    copies = 2 if config.flag("c_info", "hap") is False else 1
    return _PAGE_KB * (_PAGES_A_VCPU * vcpus + copies * (most // 1024))


def _states_memory(restore: Restore) -> bool:
    """Whether libxl has the memory for paging, or the size that it computes it from."""
    names = ("max_memkb", "shadow_memkb")
    return any(restore.config.integer("b_info", name) is not None for name in names)


RULES: tuple[RestoreRule, ...] = (
    memory_stated,
    paging_memory,
    paging_none,
    paging_host,
    paging_size,
    highest_pfn,
    memory,
)
