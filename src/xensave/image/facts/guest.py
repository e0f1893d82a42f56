"""What an image says of a guest, as one value without files: what every reader of it asks about."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue import typecode_of
from xensave.container.description import Config
from xensave.container.events import LIBXL, LayerName
from xensave.container.formats import format_named
from xensave.container.streams import hvm, libxc
from xensave.container.streams.libxc import DomainHeader, ImageHeader
from xensave.errors import XensaveError
from xensave.image.tally import Count

if TYPE_CHECKING:
    from xensave.container.frames.xl import XlHeader
    from xensave.container.streams.libxc_records import CpuidLeaf, MsrEntry, PvInfo, TscInfo
    from xensave.container.streams.libxl import LibxlHeader
    from xensave.findings import Finding
    from xensave.image.facts.emulator import Emulator
    from xensave.image.facts.pages import PageFacts

GuestType: TypeAlias = Literal["pv", "pvh", "hvm"]
PV: Final = "pv"
PVH: Final = "pvh"
HVM: Final = "hvm"


class PvVcpu(NamedTuple):
    """What a PV guest's stream holds of a vCPU: each blob as its hypercall takes it, or None."""

    basic: bytes | None = None
    extended: bytes | None = None
    xsave: bytes | None = None
    msrs: bytes | None = None


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
    `max_pfn` the last PFN of its P2M, `p2m` the frames that hold the P2M, by number. `context` is
    the HVM context's bytes. `pages` are the PFNs that the stream lists; None where they were not
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
    xl: "XlHeader | None" = None
    libxl: "LibxlHeader | None" = None
    libxc: ImageHeader | None = None
    domain: DomainHeader | None = None
    config: Config = Config()
    described: Config = Config()
    legacy: bool = False
    counts: tuple[Count, ...] = ()
    firsts: Mapping[tuple[LayerName, int], int] = MappingProxyType({})
    params: tuple[tuple[int, int], ...] = ()
    leaves: "tuple[CpuidLeaf, ...] | None" = None
    msrs: "tuple[MsrEntry, ...] | None" = None
    tsc: "tuple[TscInfo, ...]" = ()
    info: "PvInfo | None" = None
    vcpus_pv: Mapping[int, PvVcpu] = MappingProxyType({})
    context: bytes | None = None
    emulators: "tuple[Emulator, ...]" = ()
    size: int = 0
    max_pfn: int | None = None
    p2m: Mapping[int, int] = MappingProxyType({})
    pages: "PageFacts | None" = None
    unread: int = 0
    broken: "tuple[Finding, ...] | None" = None
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
        if configured == HVM or self._has_model or self.context is None:
            return HVM
        return HVM if typecode_of("PIC") in typecodes(self.context) else PVH

    @property
    def width(self) -> int | None:
        """The bits of a PV guest's words, 64 or 32; None for other guests, or if it is not said."""
        return self.info.guest_width * 8 if self.info is not None else None

    @property
    def vcpus(self) -> int:
        """How many vCPUs were saved."""
        if self.context is None:
            return len(self.vcpus_pv)
        cpu = typecode_of("CPU")
        return sum(typecode == cpu for typecode, _ in hvm.keys_of(self.context))

    @property
    def cut(self) -> bool:
        """Whether most of the guest's memory was taken out of the image, to study the rest."""
        return self.pages is not None and self.pages.cut(self.max_pfn or 0)

    @property
    def param(self) -> dict[int, int]:
        """The HVM params by index; the last of those with one index counts."""
        return dict(self.params)

    @property
    def _has_model(self) -> bool:
        """Whether libxl's stream has a device model's state."""
        layer = [count.type for count in self.counts if count.layer == LIBXL]
        return bool(layer) and format_named(LIBXL).device_model in layer

    def has(self, layer: LayerName, type_: int) -> bool:
        """Tells whether a layer has a record of a type."""
        return any((count.layer, count.type) == (layer, type_) for count in self.counts)


def typecodes(context: bytes) -> set[int]:
    """Returns the typecodes of a context's records, as far as it can be followed."""
    return {typecode for typecode, _ in hvm.keys_of(context)}
