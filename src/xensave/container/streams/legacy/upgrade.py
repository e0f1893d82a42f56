"""A legacy stream as the records of a version 3 stream, chunk by chunk.

The bytes are those of tools/python/scripts/convert-legacy-stream in Xen, the order of records
included. Beyond what it does, compressed Remus batches become pages, and the state of a device
model is taken with any of its three signatures.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from xensave.container.events import (
    HEADER_KIND,
    LEGACY,
    LIBXC,
    LIBXL,
    RECORD,
    Event,
    Header,
    LayerName,
)
from xensave.container.made import MadeEvent
from xensave.container.streams import libxc, libxl
from xensave.container.streams.legacy import chunks as c
from xensave.container.streams.legacy.batches import Batches
from xensave.container.streams.legacy.reader import ChunkReader, blocks
from xensave.container.streams.legacy.spool import Spool
from xensave.container.streams.legacy.toolstack import xenstore_data
from xensave.container.streams.libxc_records import HvmParams, P2mFrames, PvInfo, TscInfo, VcpuBlob
from xensave.errors import LimitExceeded, Malformed, Truncated
from xensave.source import Source

XEN_MINOR = 1
"""The domain header's version says 0.1: converted."""

_TSC = struct.Struct("<IQII")
_MAGIC = struct.Struct("<QQQ")
_XSAVE = struct.Struct("<QQ")
_EMULATOR = libxl.EmulatorHeader(0, 0).to_bytes()

Made = Iterator[Event]


class Upgrade:
    """Makes records of a reader's chunks.

    With `nested` the records are those of a libxl stream around libxc's, as libxl wants them: the
    toolstack's chunk and the device model's are records of it. Without it they are libxc's alone,
    and the device model's chunk comes behind them as it lies.

    A Remus stream becomes a plain one: the memory of every complete checkpoint, in order, and the
    state of the last. What came of the next one before the input ended does not count.
    """

    def __init__(self, source: Source, reader: ChunkReader, *, nested: bool) -> None:
        self._source = source
        self._reader = reader
        self._nested = nested
        self._batches = Batches(source, reader)
        self._params: list[tuple[int, int]] = []
        self._keys = b""
        self._seen_pv_info = False
        self._state: list[Event] = []
        self._model: Event | None = None
        self._vcpu_count = 0
        self._tail: list[Event] = []
        self._makers: dict[int, Callable[[Event], Made]] = {
            c.EXTENDED_INFO: self._pv_info,
            c.P2M_FRAMES: self._p2m_frames,
            c.PAGES: self._batches.pages,
            c.COMPRESSED_DATA: self._batches.compressed,
            c.TSC_INFO: self._tsc,
            c.END_OF_BODY: self._end_of_body,
        }
        self._keepers: dict[int, Callable[[Event], None]] = {
            c.TOOLSTACK: self._toolstack,
            c.MAGIC_PFNS: self._magic,
            c.HVM_CONTEXT: self._context,
            c.VCPU: self._vcpu,
            c.SHARED_INFO: self._shared_info,
            c.DEVICE_MODEL: self._device_model,
        }

    def walk(self) -> Iterator[Event]:
        """Yields the header as it lies, then every record."""
        events = self._reader.walk()
        header = next(events)
        yield header
        yield from self._heads(header)
        with Spool(self._source) as spool:
            complete = 0
            try:
                for event in events:
                    if self._reader.rounds > complete:
                        complete = self._reader.rounds
                        yield from spool.empty()
                        self._finish_round()
                    made = self._made(event)
                    yield from spool.add(made) if complete else made
            except Truncated:
                # The checkpoint that the input was cut in does not count.
                if not self._reader.rounds:
                    raise
            if self._reader.rounds > complete:
                yield from spool.empty()
                self._finish_round()
        yield from self._tail

    def _made(self, event: Event) -> list[Event]:
        if event.type in c.PARAMS:
            self._params.append((c.PARAMS[event.type], int.from_bytes(event.raw[8:16], "little")))
        elif event.type in self._makers:
            return list(self._makers[event.type](event))
        elif event.type in self._keepers:
            self._keepers[event.type](event)
        return []

    def _record(
        self,
        event: Event,
        layer: LayerName,
        type_: int,
        body: bytes = b"",
        body_at: int | None = None,
    ) -> Event:
        names = libxc.RECORDS if layer == LIBXC else libxl.RECORDS
        at = event.offset if body_at is None else body_at
        return MadeEvent(
            self._source, layer, RECORD, names[type_],
            offset=event.offset, end=event.end, type_=type_, front=body, body_at=at,
        )  # fmt: skip

    def _wait(self, event: Event, type_: int, body: bytes, body_at: int | None = None) -> None:
        """Keeps a record until its round is complete."""
        self._state.append(self._record(event, LIBXC, type_, body, body_at))

    def _head(self, event: Event, layer: LayerName, name: str, header: Header) -> Event:
        return MadeEvent(
            self._source, layer, HEADER_KIND, name,
            offset=event.offset, end=event.end, header=header, body_at=event.offset,
        )  # fmt: skip

    def _heads(self, event: Event) -> Made:
        pv = self._reader.header.pv
        if self._nested:
            options = libxl.LibxlHeader(options=libxl.OPTION_LEGACY)
            yield self._head(event, LIBXL, "header", options)
            yield self._record(event, LIBXL, libxl.LIBXC_CONTEXT)
        yield self._head(event, LIBXC, "image header", libxc.ImageHeader(3))
        kind = libxc.PV if pv else libxc.HVM
        domain = libxc.DomainHeader(kind, xen_major=0, xen_minor=XEN_MINOR)
        yield self._head(event, LIBXC, "domain header", domain)
        if not pv:
            yield self._record(event, LIBXC, libxc.STATIC_DATA_END)

    def _pv_info(self, event: Event) -> Made:
        for name, size, _ in blocks(event.body()):
            if name == b"vcpu":
                self._seen_pv_info = True
                body = PvInfo(*c.GUEST_WIDTHS[size]).to_bytes()
                yield self._record(event, LIBXC, libxc.X86_PV_INFO, body)

    def _p2m_frames(self, event: Event) -> Made:
        reader = self._reader
        if not self._seen_pv_info:
            body = PvInfo(reader.guest_width, reader.levels).to_bytes()
            yield self._record(event, LIBXC, libxc.X86_PV_INFO, body)
        yield self._record(event, LIBXC, libxc.STATIC_DATA_END)
        frames = P2mFrames(0, reader.header.p2m_size - 1, reader.ulongs(event.body()))
        yield self._record(event, LIBXC, libxc.X86_PV_P2M_FRAMES, frames.to_bytes())

    def _tsc(self, event: Event) -> Made:
        mode, nsec, khz, incarnation = _TSC.unpack(event.raw[4:])
        body = TscInfo(mode, khz, nsec, incarnation).to_bytes()
        yield self._record(event, LIBXC, libxc.X86_TSC_INFO, body, event.offset + 4)

    def _end_of_body(self, event: Event) -> Made:
        yield from self._batches.end(event)
        if self._params and self._reader.header.pv:
            raise event.fault(Malformed, "HVM params in a PV guest's stream")
        if self._params:
            body = HvmParams(tuple(self._params)).to_bytes()
            yield self._record(event, LIBXC, libxc.HVM_PARAMS, body)

    def _toolstack(self, event: Event) -> None:
        if self._nested and event.length:
            self._keys += xenstore_data(event.body(), self._reader.header.width)
            if len(self._keys) > libxl.XENSTORE_LIMIT:
                what = f"keys of more than {libxl.XENSTORE_LIMIT} bytes"
                raise event.fault(LimitExceeded, what)

    def _magic(self, event: Event) -> None:
        pairs = zip(c.MAGIC_PARAMS, _MAGIC.unpack(event.raw), strict=True)
        body = HvmParams(tuple(pairs)).to_bytes()
        self._wait(event, libxc.HVM_PARAMS, body, event.offset)

    def _context(self, event: Event) -> None:
        self._wait(event, libxc.HVM_CONTEXT, bytes(event.body()), event.body_offset)

    def _vcpu(self, event: Event) -> None:
        """Splits what is saved of a vCPU into a record for each part."""
        reader, body, at = self._reader, event.body(), 0
        vcpu = reader.vcpus[self._vcpu_count]
        self._vcpu_count += 1
        parts = [(libxc.X86_PV_VCPU_BASIC, reader.vcpu_size)]
        if reader.extended:
            parts.append((libxc.X86_PV_VCPU_EXTENDED, c.EXTENDED_VCPU_SIZE))
        for type_, size in parts:
            blob = VcpuBlob(vcpu, bytes(body[at : at + size]))
            self._wait(event, type_, blob.to_bytes())
            at += size
        if reader.xsave_size:
            self._xsave(event, vcpu, bytes(body[at:]))

    def _xsave(self, event: Event, vcpu: int, part: bytes) -> None:
        size = _XSAVE.unpack_from(part)[1] if len(part) >= _XSAVE.size else -1
        if size != len(part) - _XSAVE.size:
            wanted = self._reader.xsave_size - _XSAVE.size
            what = f"XSAVE state of {size} bytes, the extended info has {wanted}"
            raise event.fault(Malformed, what, event.end - len(part))
        blob = VcpuBlob(vcpu, part[_XSAVE.size :])
        self._wait(event, libxc.X86_PV_VCPU_XSAVE, blob.to_bytes())

    def _shared_info(self, event: Event) -> None:
        self._wait(event, libxc.SHARED_INFO, bytes(event.body()), event.body_offset)

    def _device_model(self, event: Event) -> None:
        data = bytes(event.body())
        if self._nested:
            self._model = self._record(
                event, LIBXL, libxl.EMULATOR_CONTEXT, _EMULATOR + data,
                event.body_offset - len(_EMULATOR),
            )  # fmt: skip
            return
        self._model = Event(
            self._source, LEGACY, RECORD, event.name, event.raw, length=len(data),
            type_=event.type, padded=False, taken=data, offset=event.offset,
        )  # fmt: skip

    def _finish_round(self) -> None:
        """Puts the state of a complete checkpoint in order, and begins with the next one's."""
        last = self._state[-1]
        tail = [*self._state, self._record(last, LIBXC, libxc.END)]
        if self._nested and self._keys:
            store = _EMULATOR + self._keys
            tail.append(self._record(last, LIBXL, libxl.EMULATOR_XENSTORE_DATA, store))
        if self._model is not None:
            tail.append(self._model)
        if self._nested:
            tail.append(self._record(tail[-1], LIBXL, libxl.END))
        self._tail = tail
        self._state, self._model, self._keys, self._params = [], None, b"", []
        self._vcpu_count = 0
