"""What the records of a stream say of its guest, put into its facts."""

import struct
from collections.abc import Iterator
from typing import TypeVar

from xensave import catalogue
from xensave.container.events import LEGACY, LIBXC, LIBXL, XL
from xensave.container.frames.xl import XlHeader
from xensave.container.streams import libxc
from xensave.container.streams.libxc import DomainHeader, ImageHeader
from xensave.container.streams.libxc_records import (
    PAIR,
    PARAM,
    PV_INFO,
    TSC_INFO,
    PvInfo,
    TscInfo,
    policy_leaves,
    policy_msrs,
)
from xensave.container.streams.libxl import LibxlHeader
from xensave.image.facts.described import config_of, described_by
from xensave.image.facts.emulator import emulators
from xensave.image.facts.guest import GuestFacts, PvVcpu
from xensave.image.tally import BufferedRecord, Tally

HeaderT = TypeVar("HeaderT")


_BLOBS = {
    libxc.X86_PV_VCPU_BASIC: "basic",
    libxc.X86_PV_VCPU_EXTENDED: "extended",
    libxc.X86_PV_VCPU_XSAVE: "xsave",
    libxc.X86_PV_VCPU_MSRS: "msrs",
}


def with_stream(facts: GuestFacts, tally: Tally) -> GuestFacts:
    """Returns facts with what a stream's headers and small records say.

    What cannot be read of a record is left out: the rules say what is wrong with it.
    """
    domain = _header(tally, f"{LIBXC} domain header", DomainHeader)
    leaves = _static(tally, libxc.X86_CPUID_POLICY)
    msrs = _static(tally, libxc.X86_MSR_POLICY)
    return facts._replace(
        release=facts.release if facts.release is not None else release_named(domain),
        xl=_header(tally, f"{XL} header", XlHeader),
        libxl=_header(tally, f"{LIBXL} header", LibxlHeader),
        libxc=_header(tally, f"{LIBXC} image header", ImageHeader),
        domain=domain,
        config=config_of(tally),
        described=described_by(tally),
        legacy=f"{LEGACY} header" in tally.headers,
        params=tuple(_params(tally.all(LIBXC, libxc.HVM_PARAMS))),
        leaves=None if leaves is None else policy_leaves(leaves),
        msrs=None if msrs is None else policy_msrs(msrs),
        tsc=tuple(
            TscInfo(*TSC_INFO.unpack(record.body))
            for record in tally.all(LIBXC, libxc.X86_TSC_INFO)
            if len(record.body) == TSC_INFO.size
        ),
        info=_info(tally.all(LIBXC, libxc.X86_PV_INFO)),
        vcpus_pv=_vcpus(tally),
        emulators=emulators(tally, strict=False),
        max_pfn=_max_pfn(tally.all(LIBXC, libxc.X86_PV_P2M_FRAMES)),
        p2m=_p2m(tally),
    )


def release_named(domain: DomainHeader | None) -> str | None:
    """Returns the release that a domain header names; None where the catalogue has none such."""
    named = domain.xen if domain is not None else None
    return named if named in catalogue.release_names() else None


def _header(tally: Tally, label: str, kind: type[HeaderT]) -> HeaderT | None:
    header = tally.headers.get(label)
    return header if isinstance(header, kind) else None


def _params(records: list[BufferedRecord]) -> Iterator[tuple[int, int]]:
    for record in records:
        if len(record.body) >= PAIR.size:
            count = PAIR.unpack_from(record.body)[0]
            room = (len(record.body) - PAIR.size) // PARAM.size
            end = PAIR.size + PARAM.size * min(count, room)
            yield from PARAM.iter_unpack(record.body[PAIR.size : end])


def _static(tally: Tally, type_: int) -> bytes | None:
    """Returns the last record of static data of a type: one behind STATIC_DATA_END has no say."""
    end = tally.firsts.get((LIBXC, libxc.STATIC_DATA_END))
    bodies = [
        record.body for record in tally.all(LIBXC, type_) if end is None or record.offset < end
    ]
    return bodies[-1] if bodies else None


def _info(records: list[BufferedRecord]) -> PvInfo | None:
    for record in records:
        if len(record.body) >= PV_INFO.size:
            return PvInfo(*PV_INFO.unpack_from(record.body))
    return None


def _vcpus(tally: Tally) -> dict[int, PvVcpu]:
    vcpus: dict[int, PvVcpu] = {}
    for type_, field in _BLOBS.items():
        for record in tally.all(LIBXC, type_):
            if len(record.body) > PAIR.size:
                number = PAIR.unpack_from(record.body)[0]
                blob = {field: record.body[PAIR.size :]}
                vcpus[number] = vcpus.get(number, PvVcpu())._replace(**blob)
    return dict(sorted(vcpus.items()))


def _max_pfn(records: list[BufferedRecord]) -> int | None:
    ends = [PAIR.unpack_from(record.body)[1] for record in records if len(record.body) >= PAIR.size]
    return max(ends, default=None)


def _p2m(tally: Tally) -> dict[int, int]:
    """Returns the frames of all X86_PV_P2M_FRAMES records; a later one replaces what it covers."""
    frames: dict[int, int] = {}
    info = _info(tally.all(LIBXC, libxc.X86_PV_INFO))
    per_frame = libxc.PAGE_SIZE // (info.guest_width if info and info.guest_width else 8)
    for record in tally.all(LIBXC, libxc.X86_PV_P2M_FRAMES):
        if len(record.body) >= PAIR.size:
            words = (len(record.body) - PAIR.size) // 8
            start = PAIR.unpack_from(record.body)[0]
            listed = struct.unpack_from(f"<{words}Q", record.body, PAIR.size)
            frames.update(enumerate(listed, start // per_frame))
    return frames
