"""What a guest may have taken from the hypervisor's interface, and an older one does not have.

A guest asks once, at boot, what the hypervisor can do: Xen's own CPUID leaves and features. It
restores on a release without such a thing, and may fail when it uses it. Nothing in the image
tells whether it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave.catalogue.dates import Version, in_force, version
from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM, PV, PVH, GuestFacts

_HVM = (HVM, PVH)
_ALL = (HVM, PVH, PV)


class Offer(NamedTuple):
    """Something that a release offers guests of some types, since when."""

    id: str
    what: str
    types: tuple[str, ...]
    cite: Cite
    since: tuple[str, ...]

    def holds(self, at: Version) -> bool:
        """Tells whether a release offers it."""
        return in_force(self.since, (), at)


OFFERS = (
    Offer(
        id="OFFER_UPCALL_VECTOR",
        what="event channel upcalls by a vector of each vCPU (CPUID leaf 4 of Xen's, bit 6)",
        types=_HVM,
        cite=Cite(
            "cpuid_hypervisor_leaves",
            "e2d2b9fd7a",
            "x86/hvm: widen condition for is_hvm_pv_evtchn_domain() and report fix in CPUID",
            "4.17",
        ),
        since=("4.17.0",),
    ),
    Offer(
        id="OFFER_EXT_DEST_ID",
        what="extended destination ids (CPUID leaf 4 of Xen's, bit 5)",
        types=_HVM,
        cite=Cite(
            "cpuid_hypervisor_leaves",
            "f559232206",
            "x86/cpuid: add CPUID flag for Extended Destination ID support",
            "4.17",
        ),
        since=("4.17.0",),
    ),
    Offer(
        id="OFFER_DOMID",
        what="its domain id in CPUID (leaf 4 of Xen's, bit 4)",
        types=_HVM,
        cite=Cite(
            "cpuid_hypervisor_leaves", "021e1b7c7a", "xen/x86: report domain id on cpuid", "4.11"
        ),
        since=("4.11.0",),
    ),
    Offer(
        id="OFFER_VCPU_ID",
        what="its vCPUs' ids in CPUID (leaf 4 of Xen's, bit 3)",
        types=_HVM,
        cite=Cite(
            "hvm_hypervisor_cpuid_leaf",
            "dd9b092266",
            "x86/hvm: extend HVM cpuid leaf with vcpu id",
            "4.6",
        ),
        since=("4.6.0",),
    ),
    Offer(
        id="OFFER_ADDRESS_WIDTH",
        what="the width of machine addresses in CPUID (leaf 5 of Xen's)",
        types=(PV,),
        cite=Cite(
            "cpuid_hypervisor_leaves",
            "c3d74acf55",
            "x86: add new Xen cpuid node for max address width info",
            "4.10",
        ),
        since=("4.10.0",),
    ),
    Offer(
        id="OFFER_IOMMU_MAPPINGS",
        what="IOMMU mappings of grants (CPUID leaf 4 of Xen's, bit 2)",
        types=_HVM,
        cite=Cite(
            "hvm_hypervisor_cpuid_leaf",
            "b074b99c34",
            "x86/HVM: expose that grant table mappings update the IOMMU",
            "4.5",
        ),
        since=("4.5.0",),
    ),
    Offer(
        id="OFFER_APIC_VIRTUALISATION",
        what="an APIC that the CPU virtualises (CPUID leaf 4 of Xen's, bits 0 and 1)",
        types=_HVM,
        cite=Cite(
            "hvm_hypervisor_cpuid_leaf",
            "3196856c65",
            "x86/hvm: indicate avaliability of HW support of APIC virtualization to HVM guests",
            "4.5",
        ),
        since=("4.5.0",),
    ),
    Offer(
        id="OFFER_UPCALL_HYPERCALL",
        what="HVMOP_set_evtchn_upcall_vector",
        types=_HVM,
        cite=Cite(
            "hvmop_set_evtchn_upcall_vector",
            "04447f4453",
            "x86/hvm: add per-vcpu evtchn upcalls",
            "4.6",
        ),
        since=("4.6.0",),
    ),
    Offer(
        id="OFFER_PHYS_AREAS",
        what="vCPU runstate and time areas by physical address (XENFEAT bits 18 and 19)",
        types=_ALL,
        cite=Cite(
            "xen_version",
            "48a3fd1432",
            "domain: expose newly introduced hypercalls as XENFEAT",
            "4.18",
        ),
        since=("4.18.0",),
    ),
)


def latched(facts: GuestFacts, target: str) -> Iterator[str]:
    """Yields what a guest may rely on that a target does not offer, a sentence each."""
    if facts.release is None or facts.domain is None:
        return
    saved, at = version(facts.release), version(target)
    for offer in OFFERS:
        if facts.type in offer.types and offer.holds(saved) and not offer.holds(at):
            since = " and ".join(offer.since)
            yield f"the guest may rely on {offer.what}, which Xen {target} lacks (from {since} on)"
