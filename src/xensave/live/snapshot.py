"""A running guest as a libxc stream without pages, which is read as an image is."""

from __future__ import annotations

from typing import Protocol

from xensave import catalogue
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import HvmParams, TscInfo

# What libxc saves of the params: tools/libs/guest/xg_sr_save_x86_hvm.c, write_hvm_params().
SAVED_PARAMS = (
    "STORE_PFN", "IOREQ_PFN", "BUFIOREQ_PFN", "PAGING_RING_PFN", "MONITOR_RING_PFN",
    "SHARING_RING_PFN", "VM86_TSS_SIZED", "CONSOLE_PFN", "ACPI_IOPORTS_LOCATION", "VIRIDIAN",
    "IDENT_PT", "VM_GENERATION_ID_ADDR", "IOREQ_SERVER_PFN", "NR_IOREQ_SERVER_PAGES",
    "X87_FIP_WIDTH", "MCA_CAP",
)  # fmt: skip


class Running(Protocol):
    """A running domain that can be asked."""

    xen: tuple[int, int]

    def context(self) -> bytes:
        """Returns the HVM context of this moment."""

    def policy(self) -> tuple[bytes, bytes] | None:
        """Returns the CPU policy's leaves and MSRs, None where they cannot be read."""

    def tsc(self) -> TscInfo | None:
        """Returns how the TSC is kept, None where that is not said."""

    def param(self, index: int) -> int:
        """Returns an HVM param."""


def stream_of(domain: Running) -> bytes:
    """Returns the state of an HVM guest at this moment: policy, TSC, context and params.

    It is a stream of version 3, or of version 2 where Xen does not tell the CPU policy. Raises
    SourceError, and Unsupported for a PV guest.
    """
    context = domain.context()
    return b"".join(
        (
            stream_front(domain, libxc.HVM),
            tsc_record(domain),
            pack_record(libxc.HVM_CONTEXT, context),
            pack_record(libxc.HVM_PARAMS, _params(domain)),
            pack_record(libxc.END),
        )
    )


def stream_front(domain: Running, kind: int) -> bytes:
    """Returns the headers of a domain's stream, and its CPU policy if Xen tells it."""
    policy = domain.policy()
    header = libxc.ImageHeader(version=3 if policy is not None else 2)
    major, minor = domain.xen
    front = (
        header.to_bytes() + libxc.DomainHeader(kind, xen_major=major, xen_minor=minor).to_bytes()
    )
    return front if policy is None else front + _policy(*policy)


def _policy(leaves: bytes, msrs: bytes) -> bytes:
    return (
        pack_record(libxc.X86_CPUID_POLICY, leaves)
        + pack_record(libxc.X86_MSR_POLICY, msrs)
        + pack_record(libxc.STATIC_DATA_END)
    )


def tsc_record(domain: Running) -> bytes:
    """Returns X86_TSC_INFO, nothing where Xen does not say how the TSC is kept."""
    tsc = domain.tsc()
    return b"" if tsc is None else pack_record(libxc.X86_TSC_INFO, tsc.to_bytes())


def _params(domain: Running) -> bytes:
    numbers = {each.name: each.number for each in catalogue.space("hvm-param").numbers}
    result = ((numbers[name], domain.param(numbers[name])) for name in SAVED_PARAMS)
    return HvmParams(tuple((index, value) for index, value in result if value)).to_bytes()
