"""What an image says of a guest, as one value without files: what every reader of it asks about."""

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from xensave import catalogue
from xensave.container.events import LEGACY, LIBXC, LIBXL, XL
from xensave.container.frames.config import Config
from xensave.container.frames.xl import XlHeader
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc import DomainHeader, ImageHeader
from xensave.container.streams.libxc_records import (
    PAIR,
    PARAM,
    PV_INFO,
    TSC_INFO,
    CpuidLeaf,
    MsrEntry,
    PvInfo,
    TscInfo,
    policy_leaves,
    policy_msrs,
)
from xensave.container.streams.libxl import LibxlHeader
from xensave.errors import Truncated, XensaveError
from xensave.findings import Finding
from xensave.image.facts.described import config_of, described_by
from xensave.image.facts.emulator import Emulator, emulators
from xensave.image.facts.pages import PageFacts
from xensave.image.tally import BufferedRecord, Count, Tally

GuestType: TypeAlias = Literal["pv", "pvh", "hvm"]
PV: Final = "pv"
PVH: Final = "pvh"
HVM: Final = "hvm"

_CPU, _PIC = 2, 3

HeaderT = TypeVar("HeaderT")


class PvVcpu(NamedTuple):
    """What a PV guest's stream holds of a vCPU: each blob as its hypercall takes it, or None."""

    basic: bytes | None = None
    extended: bytes | None = None
    xsave: bytes | None = None
    msrs: bytes | None = None


_BLOBS = {
    libxc.X86_PV_VCPU_BASIC: "basic",
    libxc.X86_PV_VCPU_EXTENDED: "extended",
    libxc.X86_PV_VCPU_XSAVE: "xsave",
    libxc.X86_PV_VCPU_MSRS: "msrs",
}


class GuestFacts(NamedTuple):
    """A saved guest as its image describes it: headers, counts, settings and registers.

    `legacy` says that the records are what a legacy stream stands for.
    `config` is libxl's configuration in xl's header, `described` what any frame says, in its
    shape. Headers are None where the image has no such layer. `layers` are the containers from
    the outside in, with their versions. `counts` are the records by layer and type, in the order
    of first occurrence, `firsts` where the first of each begins. `params` are (index, value) in
    the order in which they are set. `leaves` and `msrs` are the CPU policy before
    STATIC_DATA_END, None where there is no such record. `tsc` are the records of that kind, in
    order. `info` is a PV guest's width and page-table levels, `vcpus_pv` its vCPUs by number,
    `max_pfn` the last PFN of its P2M, `p2m_pfns` the frames that hold the P2M. `context` is the
    HVM context's bytes. `pages` are the PFNs that the stream lists; None where they were not
    looked at, or are too many.

    `size` is the image's bytes, `unread` those of page records that a glance passed over: counts
    and rules say nothing of them.

    `broken` are the rules of the formats that the records break, in the order of the stream; None
    where they were not checked. `stop` is why the stream could not be followed to its end.

    >>> from xensave.image import open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     facts = image.facts
    >>> facts.type, facts.libxc.version, facts.tsc[0].khz, facts.stop
    ('hvm', 3, 2299999, None)
    """

    name: str = ""
    release: str | None = None
    layers: tuple[str, ...] = ()
    xl: XlHeader | None = None
    libxl: LibxlHeader | None = None
    libxc: ImageHeader | None = None
    domain: DomainHeader | None = None
    config: Config = Config()
    described: Config = Config()
    legacy: bool = False
    counts: tuple[Count, ...] = ()
    firsts: Mapping[tuple[str, int], int] = MappingProxyType({})
    params: tuple[tuple[int, int], ...] = ()
    leaves: tuple[CpuidLeaf, ...] | None = None
    msrs: tuple[MsrEntry, ...] | None = None
    tsc: tuple[TscInfo, ...] = ()
    info: PvInfo | None = None
    vcpus_pv: Mapping[int, PvVcpu] = MappingProxyType({})
    context: bytes | None = None
    emulators: tuple[Emulator, ...] = ()
    size: int = 0
    max_pfn: int | None = None
    p2m_pfns: tuple[int, ...] = ()
    pages: PageFacts | None = None
    unread: int = 0
    broken: tuple[Finding, ...] | None = None
    stop: XensaveError | None = None

    @property
    def xen(self) -> str | None:
        """The version of the Xen that saved it: "4.17"; None in a bare context."""
        return self.domain.xen if self.domain is not None else None

    @property
    def type(self) -> GuestType:
        """The guest's type: PV, PVH or HVM.

        The configuration says it; without one a guest with an emulator or a PIC is HVM.
        """
        if self.domain is not None and self.domain.type == libxc.PV:
            return PV
        configured = self.described.choice("c_info", "type")
        configured = configured or self.config.choice("c_info", "type")
        if configured == PVH:
            return PVH
        if configured == HVM or self.has(LIBXL, libxl.EMULATOR_CONTEXT) or self.context is None:
            return HVM
        return HVM if _PIC in typecodes(self.context) else PVH

    @property
    def width(self) -> int | None:
        """The bits of a PV guest's words, 64 or 32; None for other guests, or if it is not said."""
        return self.info.guest_width * 8 if self.info is not None else None

    @property
    def vcpus(self) -> int:
        """How many vCPUs were saved."""
        if self.context is None:
            return len(self.vcpus_pv)
        return len({inst for code, inst in _descriptors(self.context) if code == _CPU})

    @property
    def cut(self) -> bool:
        """Whether most of the guest's memory was taken out of the image, to study the rest."""
        return self.pages is not None and self.pages.cut(self.max_pfn or 0)

    @property
    def param(self) -> dict[int, int]:
        """The HVM params by index; of several of one index the last."""
        return dict(self.params)

    def has(self, layer: str, type_: int) -> bool:
        """Tells whether a layer has a record of a type."""
        return any((count.layer, count.type) == (layer, type_) for count in self.counts)


def typecodes(context: bytes) -> set[int]:
    """Returns the typecodes of a context's records, as far as it can be followed."""
    return {typecode for typecode, _ in _descriptors(context)}


def _descriptors(context: bytes) -> Iterator[tuple[int, int]]:
    try:
        for entry in hvm.iterate(context):
            yield entry.typecode, entry.instance
    except Truncated:
        return


def facts_of(
    tally: Tally,
    name: str,
    release: str | None = None,
    *,
    broken: tuple[Finding, ...] | None = None,
    pages: PageFacts | None = None,
) -> GuestFacts:
    """Returns what a pass over an image found, as facts of the guest.

    `release` is the release that the caller names; else it is the one that saved the image. What
    cannot be read of a record is left out: the rules say what is wrong with it.
    """
    domain = _header(tally, f"{LIBXC} domain header", DomainHeader)
    context = tally.last_context
    leaves = _static(tally, libxc.X86_CPUID_POLICY)
    msrs = _static(tally, libxc.X86_MSR_POLICY)
    facts = GuestFacts(
        name=name,
        layers=tuple(dict.fromkeys(tally.layers)),
        xl=_header(tally, f"{XL} header", XlHeader),
        libxl=_header(tally, f"{LIBXL} header", LibxlHeader),
        libxc=_header(tally, f"{LIBXC} image header", ImageHeader),
        domain=domain,
        config=config_of(tally),
        described=described_by(tally),
        legacy=f"{LEGACY} header" in tally.headers,
        counts=tuple(tally.counts.values()),
        firsts=MappingProxyType(dict(tally.firsts)),
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
        context=context.body if context is not None else None,
        emulators=emulators(tally, strict=False),
        size=tally.size,
        max_pfn=_max_pfn(tally.all(LIBXC, libxc.X86_PV_P2M_FRAMES)),
        p2m_pfns=_p2m_pfns(tally),
        pages=pages,
        unread=tally.unread,
        broken=broken,
        stop=tally.stop,
    )
    return facts._replace(release=release if release is not None else release_named(domain))


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


def _p2m_pfns(tally: Tally) -> tuple[int, ...]:
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
    return tuple(frames.values())
