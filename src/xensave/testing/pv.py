"""Streams of PV guests: every record type that only they have.

>>> from xensave.container.walk import walk
>>> from xensave.source import open_source
>>> names = [event.name for event in walk(open_source(pv_stream("4.17")))]
>>> names[2:5], names[-1]
(['X86_PV_INFO', 'STATIC_DATA_END', 'X86_PV_P2M_FRAMES'], 'END')
"""

from __future__ import annotations

from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import (
    MsrEntry,
    P2mFrames,
    PvInfo,
    TscInfo,
    VcpuBlob,
    pack_msr_policy,
)
from xensave.testing.streams import PFNS_PER_FRAME, static_data, stream_head

WIDTH = 8
LEVELS = 4
# The structures of a 64-bit guest: vcpu_guest_context_t, xen_domctl_ext_vcpucontext.
BASIC_SIZE = 5168
EXTENDED_SIZE = 128
XSAVE_SIZE = 16 + 512 + 64


def pv_stream(release: str = "4.17", memory: bytes = b"", vcpus: int = 1) -> bytes:
    """Returns a libxc stream of a 64-bit PV guest around packed PAGE_DATA records."""
    info = pack_record(libxc.X86_PV_INFO, PvInfo(WIDTH, LEVELS).to_bytes())
    frames = pack_record(libxc.X86_PV_P2M_FRAMES, P2mFrames(0, PFNS_PER_FRAME - 1, (1,)).to_bytes())
    tsc = pack_record(libxc.X86_TSC_INFO, TscInfo(0, 2300000, 0, 0).to_bytes())
    shared = pack_record(libxc.SHARED_INFO, bytes(libxc.PAGE_SIZE))
    head = stream_head(release, libxc.PV) + info + static_data(release)
    rest = b"".join(_vcpu(number) for number in range(vcpus))
    return b"".join([head, frames, memory, tsc, shared, rest, pack_record(libxc.END)])


def _vcpu(number: int) -> bytes:
    msrs = pack_msr_policy([MsrEntry(0xC0000103, 0, number)])
    bodies = (
        (libxc.X86_PV_VCPU_BASIC, bytes(BASIC_SIZE)),
        (libxc.X86_PV_VCPU_EXTENDED, bytes(EXTENDED_SIZE)),
        (libxc.X86_PV_VCPU_XSAVE, bytes(XSAVE_SIZE)),
        (libxc.X86_PV_VCPU_MSRS, msrs),
    )
    return b"".join(pack_record(type_, VcpuBlob(number, body).to_bytes()) for type_, body in bodies)
