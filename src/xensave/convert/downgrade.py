"""A stream of today as a legacy one, for Xen 4.5 and older.

Pages are passed on as they come. What the older writer puts behind them in another order than
today's (params, the clock, which vCPUs are online, the toolstack's words) waits for the end; what
it puts before them must be known from a pass before: how many frames there are, and a PV guest's
contexts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from xensave.catalogue import typecode_of
from xensave.catalogue.dates import version
from xensave.catalogue.model import Release
from xensave.container.events import HEADER_KIND, LEGACY, LIBXC, LIBXL, Event, LayerName
from xensave.container.frames import xl
from xensave.container.framing import HEADER, HEADER_SIZE
from xensave.container.made import MadeEvent
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.legacy import chunks as c
from xensave.container.streams.legacy import writer
from xensave.container.streams.legacy.header import P2M_SIZES
from xensave.container.streams.libxc import PFN_MASK, TYPE_SHIFT
from xensave.container.streams.libxc_records import (
    DATALESS_TYPES,
    PAIR,
    HvmParams,
    P2mFrames,
    PageData,
    TscInfo,
    VcpuBlob,
)
from xensave.convert.plan import Noting, Plan, place_of
from xensave.convert.stream import legacy_dates as since
from xensave.convert.stream.stream import Output
from xensave.records.meaning.params import param_name
from xensave.toolstack.xl import JSON_FLAG

FIRST = "3.4"
"""The oldest release whose legacy streams are written here."""

LEAST_P2M = P2M_SIZES.start

_KEY = re.compile(r"physmap/([0-9a-f]{1,16})/(start_addr|size|name)\Z")
_CHUNK_OF = {index: chunk for chunk, index in c.PARAMS.items()}


class LegacyFacts:
    """What of a guest a legacy stream needs before and behind its pages."""

    def __init__(self) -> None:
        self.last_pfn = 0
        self.p2m: P2mFrames | None = None
        self.pv = False
        self.basic: dict[int, bytes] = {}
        self.extended: dict[int, bytes] = {}
        self.xsave: dict[int, bytes] = {}
        self.shared = b""
        self.tsc: TscInfo | None = None
        self.params: dict[int, int] = {}
        self.context = b""
        self.keys: list[tuple[str, str]] = []
        self.model: bytes | None = None

    @property
    def xsave_size(self) -> int | None:
        """The bytes of each vCPU's XSAVE area, None where there is none."""
        return len(next(iter(self.xsave.values()))) if self.xsave else None


class Downgrade(Noting):
    """Makes legacy chunks of what a StreamConverter gives for each event.

    `known` are the facts of a pass before; without them this is that pass.
    """

    def __init__(self, target: Release, plan: Plan, known: LegacyFacts | None) -> None:
        super().__init__(plan)
        self._target = target
        self._version = version(target.name)
        self._known = known
        self.facts = LegacyFacts()
        self._begun = False

    def convert(self, event: Event, output: Output) -> Output:
        """Returns the chunks for what an event became."""
        self._place = place_of(event)
        if event.layer not in (LIBXC, LIBXL):
            return output
        if event.kind == HEADER_KIND:
            self._begun = True
            if self._version < version(FIRST):
                what = f"legacy streams of Xen {self._target.name} are not written"
                raise self.refused(f"{what}, those from {FIRST} on are")
            if isinstance(event.header, libxc.DomainHeader):
                self.facts.pv = event.header.type == libxc.PV
                return (self._front(),)
            return ()
        chunks: list[Event | bytes] = []
        for part in output:
            if event.is_record(LIBXC, libxc.PAGE_DATA) and isinstance(part, Event):
                chunks += self._pages(part)
            else:
                chunks += self._record(event.layer, *_unpacked(part))
        return tuple(chunks)

    def finish(self) -> Output:
        """Returns what follows the pages. Raises ConversionRefused where something is missing."""
        facts = self.facts
        if not self._begun:
            return ()
        parts = [*self._body_end(), writer.marker(c.END_OF_BODY)]
        parts += self._pv_tail() if facts.pv else self._hvm_tail()
        return tuple(parts)

    def xl_header(
        self, header: xl.XlHeader, body: bytes, config: bytes | None
    ) -> tuple[xl.XlHeader, bytes]:
        """Returns xl's header and its optional data: JSON came with Xen 4.5, xl itself with 4.1."""
        if not since.XL.holds(self._version):
            raise self.refused(f"Xen {self._target.name} has no xl: --input-format libxl, say")
        if config is not None:
            text = config.rstrip(b"\0")
            body = xl.OptionalData(text + b"\0").to_bytes()
            flags = header.mandatory_flags & ~xl.FLAG_JSON
            flags |= xl.FLAG_JSON if text.lstrip().startswith(b"{") else 0
            header = header._replace(mandatory_flags=flags, optional_length=len(body))
        if header.json and not JSON_FLAG.holds(self._version):
            raise self.refused(
                f"xl of {self._target.name} reads no JSON: give xl.cfg text by --config FILE"
            )
        return header, body

    def _has(self, chunk: int) -> bool:
        return since.CHUNKS[chunk].holds(self._version)

    def _front(self) -> bytes:
        known = self._known
        if known is None:
            return b""
        if not known.pv:
            return writer.header(max(LEAST_P2M, known.last_pfn + 1)) + self._tsc(known)
        assert known.p2m is not None
        first = known.basic[min(known.basic)]
        xsave_size = known.xsave_size if since.XSAVE.holds(self._version) else None
        return b"".join(
            (
                writer.header(known.p2m.end_pfn + 1),
                writer.extended_info(first, extended=bool(known.extended), xsave_size=xsave_size),
                writer.ulongs(known.p2m.frames),
                self._tsc(known),
            )
        )

    def _tsc(self, known: LegacyFacts) -> bytes:
        tsc = known.tsc
        if tsc is None or not self._has(c.TSC_INFO):
            return b""
        return writer.tsc_info(tsc.mode, tsc.khz, tsc.nsec, tsc.incarnation)

    def _pages(self, event: Event) -> Iterator[Event | bytes]:
        count = int.from_bytes(event.prefix(4), "little")
        if count > c.MAX_BATCH:
            raise self.refused(f"a record of {count} pages, a batch has at most {c.MAX_BATCH}")
        front = PageData.parse(event.prefix(PAIR.size + 8 * count))
        highest = max((pfn & PFN_MASK for pfn in front.pfns), default=0)
        if highest > c.PFN_MASK:
            raise self.refused(f"PFN {highest:#x}, a legacy stream has 28 bits for it")
        with_pages = [pfn for pfn in front.pfns if pfn >> TYPE_SHIFT not in DATALESS_TYPES]
        last = max((pfn & PFN_MASK for pfn in with_pages), default=0)
        self.facts.last_pfn = max(self.facts.last_pfn, last)
        batch = writer.batch([pfn >> TYPE_SHIFT << 28 | pfn & c.PFN_MASK for pfn in front.pfns])
        yield MadeEvent.with_front(event, LEGACY, c.RECORDS[c.PAGES], batch, front.size)

    def _record(self, layer: LayerName, type_: int, body: bytes) -> Iterator[bytes]:
        facts = self.facts
        if layer == LIBXL:
            self._libxl(type_, body)
        elif type_ == libxc.X86_TSC_INFO:
            facts.tsc = TscInfo.parse(body)
        elif type_ == libxc.HVM_CONTEXT:
            facts.context = body
        elif type_ == libxc.HVM_PARAMS:
            facts.params.update(HvmParams.parse(body).params if body else ())
        elif type_ == libxc.SHARED_INFO:
            facts.shared = body
        elif type_ == libxc.VERIFY:
            yield writer.marker(c.VERIFY_MODE)
        elif type_ == libxc.CHECKPOINT:
            raise self.refused("a checkpointed stream has no legacy form here")
        elif type_ == libxc.X86_PV_P2M_FRAMES:
            self._p2m(body)
        else:
            self._vcpu(type_, body)

    def _p2m(self, body: bytes) -> None:
        frames = P2mFrames.parse(body)
        if self.facts.p2m is not None:
            raise self.refused("a P2M that grew while the guest was saved has no legacy form")
        self.facts.p2m = frames

    def _vcpu(self, type_: int, body: bytes) -> None:
        places = {
            libxc.X86_PV_VCPU_BASIC: self.facts.basic,
            libxc.X86_PV_VCPU_EXTENDED: self.facts.extended,
            libxc.X86_PV_VCPU_XSAVE: self.facts.xsave,
        }
        if type_ in places:
            blob = VcpuBlob.parse(body)
            if blob.context:
                places[type_][blob.vcpu_id] = blob.context
        elif type_ == libxc.X86_PV_VCPU_MSRS and len(body) > PAIR.size:
            self._lose("X86_PV_VCPU_MSRS", f"{len(body) - PAIR.size} bytes", "it came with Xen 4.6")

    def _libxl(self, type_: int, body: bytes) -> None:
        if type_ == libxl.EMULATOR_CONTEXT:
            self.facts.model = body[libxl.EMULATOR_HEADER_SIZE :]
        elif type_ == libxl.EMULATOR_XENSTORE_DATA:
            self.facts.keys += libxl.parse_xenstore(body[libxl.EMULATOR_HEADER_SIZE :])

    def _body_end(self) -> Iterator[bytes]:
        facts = self.facts
        if facts.tsc is not None and not self._has(c.TSC_INFO):
            self._lose("X86_TSC_INFO", f"{facts.tsc.nsec} ns", "it came with Xen 4.0")
        for index, value in facts.params.items():
            yield from self._param(index, value)
        entries = hvm.iterate(facts.context) if not facts.pv else ()
        saved = {entry.instance for entry in entries if entry.typecode == typecode_of("CPU")}
        vcpus = sorted(facts.basic if facts.pv else saved)
        if vcpus and vcpus[-1] > c.MAX_VCPU_ID:
            raise self.refused(f"vCPU {vcpus[-1]}, the last of a legacy stream is {c.MAX_VCPU_ID}")
        yield writer.vcpu_info(vcpus)
        yield from self._toolstack()
        if self._has(c.LAST_CHECKPOINT):
            yield writer.marker(c.LAST_CHECKPOINT)

    def _param(self, index: int, value: int) -> Iterator[bytes]:
        chunk = _CHUNK_OF.get(index)
        if chunk is not None and self._has(chunk):
            yield writer.param(chunk, value)
        elif index not in c.MAGIC_PARAMS and value:
            self._lose(param_name(index), hex(value), "a legacy stream has no chunk for it")

    def _toolstack(self) -> Iterator[bytes]:
        places: dict[int, dict[str, str]] = {}
        for key, value in self.facts.keys:
            match = _KEY.match(key)
            if match is None or not self._has(c.TOOLSTACK):
                self._lose(key, value, "a legacy stream has no place for it")
            else:
                places.setdefault(int(match[1], 16), {})[match[2]] = value
        if places:
            try:
                regions = {
                    phys: (
                        int(each["start_addr"], 16),
                        int(each["size"], 16),
                        each["name"].encode("utf-8", "surrogateescape"),
                    )
                    for phys, each in places.items()
                }
                yield writer.toolstack(regions)
            except (KeyError, ValueError) as error:
                raise self.refused(
                    f"a device model's key is missing or no number: {error}"
                ) from error

    def _hvm_tail(self) -> Iterator[bytes]:
        facts = self.facts
        magic = [facts.params.get(index) for index in c.MAGIC_PARAMS]
        yield writer.hvm_tail([value or 0 for value in magic], facts.context)
        if facts.model is None:
            raise self.refused(
                "an HVM guest's legacy stream ends with a device model's state, and there is none"
            )
        if since.MODEL_LENGTH.holds(self._version):
            yield c.DEVICE_MODELS[0] + len(facts.model).to_bytes(4, "little") + facts.model
        else:
            yield c.DEVICE_MODEL_TO_END + facts.model

    def _pv_tail(self) -> Iterator[bytes]:
        facts = self.facts
        if facts.p2m is None or not facts.basic or not facts.shared:
            raise self.refused("a PV guest without a P2M, a vCPU's context or shared info")
        xsave = facts.xsave if since.XSAVE.holds(self._version) else {}
        if facts.xsave and not xsave:
            self._lose("X86_PV_VCPU_XSAVE", f"{len(facts.xsave)} vCPUs", "it came with Xen 4.1")
        extended_size = c.EXTENDED_VCPU_SIZE if facts.extended else 0
        yield bytes(4)
        for vcpu, basic in sorted(facts.basic.items()):
            if bool(facts.extended) != (vcpu in facts.extended) or (
                xsave and len(xsave.get(vcpu, b"")) != facts.xsave_size
            ):
                raise self.refused(f"vCPU {vcpu} has other records than the first vCPU")
            # A legacy stream has the whole union of the hypercall, today's the part in use.
            yield basic + facts.extended.get(vcpu, b"").ljust(extended_size, b"\0")
            if xsave:
                mask = int.from_bytes(xsave[vcpu][:8], "little")
                accumulated = int.from_bytes(xsave[vcpu][8:16], "little")
                yield writer.xsave(mask | accumulated, xsave[vcpu])
        yield facts.shared


def _unpacked(part: Event | bytes) -> tuple[int, bytes]:
    if isinstance(part, Event):
        return part.type, bytes(part.body())
    type_, length = HEADER.unpack_from(part)
    return type_, part[HEADER_SIZE : HEADER_SIZE + length]
