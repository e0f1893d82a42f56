"""What of a stream must be remembered from one record to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress

from xensave.container.events import (
    CONTEXT,
    HEADER_KIND,
    LIBXC,
    LIBXL,
    RECORD,
    TRAILER,
    XL,
    Event,
    Header,
    LayerName,
)
from xensave.container.formats import format_named
from xensave.container.frames.config import parse_config
from xensave.container.frames.xl import CONFIG_LIMIT
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import PAIR
from xensave.errors import Truncated

CONTEXT_LIMIT = 16 << 20
"""A longer context is not looked into; one of 512 vCPUs has about 8 MiB."""


class StreamState:
    """Facts of the records so far; rules read them, `update` alone changes them.

    `headers` holds the header that began each layer. `version` is the libxc stream's, 0 before its
    header; `guest` the guest's type (libxc.PV or HVM), 0 before the domain header.

    `types` holds the known types that were seen, by layer. `checkpoint` is true between libxc's
    CHECKPOINT and libxl's CHECKPOINT_END, `control` after that until libxc goes on. `configured`
    is the guest's type by its configuration, "" where none says it.
    """

    __slots__ = ("_known", "checkpoint", "configured", "control", "domain", "formats", "guest",
                 "headers", "max_pfn", "records", "trailing", "types", "vcpu0", "version",
                 "width")  # fmt: skip

    def __init__(self) -> None:
        self._known: dict[LayerName, Collection[int]] = {}
        self.headers: dict[LayerName, Header] = {}
        self.types: dict[LayerName, set[int]] = defaultdict(set)
        self.formats: list[str] = []
        self.version = 0
        self.domain: libxc.DomainHeader | None = None
        self.guest = 0
        self.configured = ""
        self.width = 0
        self.max_pfn = -1
        self.vcpu0 = False
        self.records = 0
        self.trailing = False
        self.checkpoint = False
        self.control = False

    def seen(self, layer: LayerName, *types: int) -> bool:
        """Tells whether any of these records came before."""
        return not self.types[layer].isdisjoint(types)

    def libxc(self, *types: int) -> bool:
        """Tells whether any of these libxc records came before."""
        return not self.types[LIBXC].isdisjoint(types)

    def update(self, event: Event) -> None:
        """Takes in a header or record."""
        if event.kind == RECORD:
            self.records += event.records
            known = self._known.get(event.layer)
            if known is None:
                known = self._known[event.layer] = format_named(event.layer).records
            # Types that nobody knows may be as many as there are records.
            if event.type in known:
                self.types[event.layer].add(event.type)
            learn = LEARN.get((event.layer, event.type))
            if learn is not None:
                learn(self, event)
        elif event.kind == HEADER_KIND:
            self._header(event)
        elif event.kind == TRAILER:
            self.trailing = True
        elif event.kind == CONTEXT:
            self._format("HVM context")
            self.records += _entries(event)

    def _format(self, name: str) -> None:
        if name not in self.formats:
            self.formats.append(name)

    def _header(self, event: Event) -> None:
        header = event.header
        if isinstance(header, libxc.ImageHeader):
            self.version = header.version
        elif isinstance(header, libxc.DomainHeader):
            self.domain, self.guest = header, header.type
        if event.layer == XL and 0 < event.length <= CONFIG_LIMIT:
            configured = parse_config(bytes(event.body())).choice("c_info", "type")
            self.configured = configured if isinstance(configured, str) else ""
        if header is not None and header.begins:
            self.headers[event.layer] = header
            version = "" if header.version is None else f" version {header.version}"
            self._format(f"{header.begins}{version}")


def _entries(event: Event) -> int:
    """Returns how many records a bare context has, up to where it ends or breaks off."""
    count = 0
    if 0 < event.length <= CONTEXT_LIMIT:
        with suppress(Truncated):
            for entry in hvm.iterate(event.body()):
                count += entry.typecode != hvm.END_TYPECODE
    return count


def _pv_info(state: StreamState, event: Event) -> None:
    if event.length:
        state.width = event.prefix(1)[0]


def _p2m_frames(state: StreamState, event: Event) -> None:
    if event.length >= PAIR.size:
        state.max_pfn = max(state.max_pfn, PAIR.unpack_from(event.prefix(PAIR.size))[1])


def _vcpu(state: StreamState, event: Event) -> None:
    if event.length > PAIR.size:
        state.vcpu0 |= PAIR.unpack_from(event.prefix(PAIR.size))[0] == 0


def _checkpoint(state: StreamState, _: Event) -> None:
    # Outside a libxl stream nothing is handed over.
    state.checkpoint = state.seen(LIBXL, libxl.LIBXC_CONTEXT)
    state.control = False


def _checkpoint_end(state: StreamState, _: Event) -> None:
    state.control = state.checkpoint
    state.checkpoint = False


LEARN = {
    (LIBXC, libxc.X86_PV_INFO): _pv_info,
    (LIBXC, libxc.X86_PV_P2M_FRAMES): _p2m_frames,
    (LIBXC, libxc.X86_PV_VCPU_BASIC): _vcpu,
    (LIBXC, libxc.CHECKPOINT): _checkpoint,
    (LIBXL, libxl.CHECKPOINT_END): _checkpoint_end,
}
