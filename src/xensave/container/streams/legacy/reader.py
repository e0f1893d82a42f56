"""A legacy stream as it lies: its header, its chunks, its tail, each an event."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NoReturn

from xensave.container.events import HEADER_KIND, LEGACY, RECORD, Event, bound
from xensave.container.streams.legacy import chunks as c
from xensave.container.streams.legacy.header import LegacyHeader, is_chunk
from xensave.errors import LimitExceeded, Malformed, Truncated, Unsupported, XensaveError
from xensave.source import Source
from xensave.source.limits import READ_LIMIT

EXTENDED_LIMIT = 1 << 20
"""The most that a PV guest's extended information may have; Xen's has 5 KiB."""
TO_END_LIMIT = 16 << 20
"""The most of a device model's state that has no length; QEMU's of that time has some KiB."""

_INT = struct.Struct("<i")


class ChunkReader:
    """Reads chunk by chunk; what a chunk says of the ones behind it is remembered here.

    A PV guest's tail has as many contexts as vCPUs are online, of the sizes that the extended
    information gave. In a Remus stream a body and a tail follow another until the last
    checkpoint, or until the input ends: where compression was enabled, pages come by deltas.
    """

    def __init__(self, source: Source, header: LegacyHeader, *, device_model: bool = True) -> None:
        self._source = source
        self.header = header
        self._device_model = device_model and not header.pv
        self._ulongs = "<{}" + ("Q" if header.width == 8 else "I")
        self.guest_width = self.levels = 0
        self.vcpu_size = self.xsave_size = 0
        self.extended = self.compressed = self.last = False
        self.vcpus: list[int] = []
        self.entries: tuple[int, ...] = ()
        self.rounds = 0
        self._chunks = 0

    def walk(self) -> Iterator[Event]:
        """Yields every event. Raises Truncated, Malformed, Unsupported and LimitExceeded."""
        yield self._header()
        if self.header.pv:
            yield from self._front()
        yield from self._round()
        while self.compressed and not self.last and not self._source.at_end():
            self.vcpus = []
            yield from self._round()

    def ulongs(self, data: bytes | memoryview) -> tuple[int, ...]:
        """Returns the toolstack's `unsigned long`s."""
        return struct.unpack(self._ulongs.format(len(data) // self.header.width), data)

    def _header(self) -> Event:
        raw = self._raw(self.header.width, "header")
        size = self.ulongs(raw)[0]
        self.header = self.header._replace(p2m_size=size)
        return Event(self._source, LEGACY, HEADER_KIND, "header", raw, header=self.header)

    def _raw(self, size: int, name: str) -> memoryview:
        start = self._source.offset
        try:
            return self._source.read(size)
        except XensaveError as error:
            error.record = error.record or f"{LEGACY} {name}"
            if isinstance(error, Truncated) and not error.path:
                error.offset = start
            raise

    def _event(self, type_: int, raw: bytes | memoryview, length: int = 0) -> Event:
        name = c.RECORDS[type_]
        if length > READ_LIMIT:
            raise LimitExceeded(
                f"{length} bytes, the limit is {READ_LIMIT}",
                offset=self._source.offset - len(raw),
                record=f"{LEGACY} {name}",
            )
        view = memoryview(raw)
        return Event(
            self._source, LEGACY, RECORD, name, view, length=length, type_=type_, padded=False
        )

    def _sized(self, type_: int, front: bytes = b"", size: int = 4) -> Event:
        """Returns an event whose body's length stands before it."""
        raw = front + bytes(self._raw(size, c.RECORDS[type_]))
        return self._event(type_, raw, int.from_bytes(raw[-size:], "little"))

    def _passed(self, event: Event) -> Iterator[Event]:
        yield event
        event.finish()

    def _front(self) -> Iterator[Event]:
        yield from self._extended_info()
        if not self.vcpu_size:
            self._wrong("no vCPU block says how wide the guest is", c.EXTENDED_INFO)
        per_frame = c.PAGE_SIZE // self.guest_width
        frames = (self.header.p2m_size - 1) // per_frame + 1
        if not 0 < self.header.p2m_size <= 1 << 32:
            self._wrong(f"a P2M of {self.header.p2m_size} frames", c.P2M_FRAMES)
        yield from self._passed(self._event(c.P2M_FRAMES, b"", frames * self.header.width))

    def _extended_info(self) -> Iterator[Event]:
        width = self.header.width
        head = bytes(self._source.peek(width + 12))
        if head[:width] != b"\xff" * width and head[width + 4 : width + 8] != b"vcpu":
            # Before extended information was (Xen 3.0) guests were as wide as the toolstack.
            self.vcpu_size = next(n for n, (w, _) in c.GUEST_WIDTHS.items() if w == width)
            self.guest_width, self.levels = c.GUEST_WIDTHS[self.vcpu_size]
            return
        event = self._sized(c.EXTENDED_INFO, bytes(self._raw(width, "extended info")))
        if event.length > EXTENDED_LIMIT:
            what = f"{event.length} bytes, the limit is {EXTENDED_LIMIT}"
            self._wrong(what, c.EXTENDED_INFO, at=event.offset)
        self._read_blocks(event)
        yield from self._passed(event)

    def _read_blocks(self, event: Event) -> None:
        for name, size, data in blocks(event.body()):
            if name == b"vcpu":
                if size not in c.GUEST_WIDTHS:
                    self._wrong(
                        f"a vCPU's context of {size} bytes", c.EXTENDED_INFO, at=event.offset
                    )
                self.vcpu_size = size
                self.guest_width, self.levels = c.GUEST_WIDTHS[size]
            elif name == b"extv":
                self.extended = True
            elif name == b"xcnt" and size >= 4:
                self.xsave_size = int.from_bytes(data[:4], "little")
            else:
                self._wrong(
                    f"block {name!r} of {size} bytes is not known", c.EXTENDED_INFO, at=event.offset
                )

    def _round(self) -> Iterator[Event]:
        yield from self._body()
        yield from self._pv_tail() if self.header.pv else self._hvm_tail()
        self.rounds += 1

    def _body(self) -> Iterator[Event]:
        number = 1
        while number != c.END_OF_BODY:
            marker = self._raw(4, "chunk")
            number = _INT.unpack(marker)[0]
            event = self._batch(marker, number) if number > 0 else self._chunk(marker, number)
            yield from self._passed(event)
            # Most chunks are no record of today's: who walks those would see none of these.
            self._chunks += 1
            bound(self._chunks, event)

    def _batch(self, marker: memoryview, count: int) -> Event:
        if count > c.MAX_BATCH:
            self._wrong(f"a batch of {count} pages, at most {c.MAX_BATCH}", c.PAGES, 4)
        pfns = self._raw(count * self.header.width, "pages")
        self.entries = self.ulongs(pfns)
        pages = sum(entry & c.TYPE_MASK < c.BROKEN for entry in self.entries)
        if self.compressed and (self.rounds or is_chunk(self._source.peek(4))):
            # The pages come as compressed data. In the body that enables it Xen sends no batch
            # any more; of others' writing, what follows tells.
            pages = 0
        return self._event(c.PAGES, bytes(marker) + pfns, pages * c.PAGE_SIZE)

    def _chunk(self, marker: memoryview, number: int) -> Event:
        front = bytes(marker)
        if number in c.PARAMS:
            return self._event(number, front + self._raw(12, c.RECORDS[number]))
        if number in c.MARKERS:
            self._mark(number)
            return self._event(number, front)
        if number == c.VCPU_INFO:
            return self._vcpu_info(front)
        if number == c.TSC_INFO:
            return self._event(number, front + self._raw(20, "TSC info"))
        if number == c.TOOLSTACK:
            return self._sized(number, front)
        if number == c.COMPRESSED_DATA and self.compressed:
            return self._sized(number, front, self.header.width)
        at = self._source.offset - 4
        if number in (c.TMEM, c.TMEM_EXTRA):
            what = f"chunk {number}, {c.RECORDS[number]}: no Xen after 4.5 restores that"
            raise Unsupported(what, offset=at, record=f"{LEGACY} chunk")
        raise Malformed(f"chunk {number} is not known here", offset=at, record=f"{LEGACY} chunk")

    def _mark(self, number: int) -> None:
        self.compressed |= number == c.ENABLE_COMPRESSION
        self.last |= number == c.LAST_CHECKPOINT

    def _vcpu_info(self, front: bytes) -> Event:
        raw = front + bytes(self._raw(4, "vCPU info"))
        max_id = _INT.unpack_from(raw, 4)[0]
        if max_id > c.MAX_VCPU_ID:
            self._wrong(f"vCPU {max_id}, the last is {c.MAX_VCPU_ID}", c.VCPU_INFO, 8)
        event = self._event(c.VCPU_INFO, raw, 8 * max(0, max_id // 64 + 1))
        online = int.from_bytes(event.body(), "little")
        self.vcpus += [bit for bit in range(online.bit_length()) if online >> bit & 1]
        return event

    def _hvm_tail(self) -> Iterator[Event]:
        yield self._event(c.MAGIC_PFNS, self._raw(24, "magic PFNs"))
        yield from self._passed(self._sized(c.HVM_CONTEXT))
        if self._device_model:
            yield from self._passed(self._device_model_record())

    def _device_model_record(self) -> Event:
        signature = bytes(self._raw(c.SIGNATURE_SIZE, "device model"))
        if signature in c.DEVICE_MODELS:
            return self._sized(c.DEVICE_MODEL, signature)
        if signature != c.DEVICE_MODEL_TO_END:
            self._wrong(f"signature {signature!r} is not known", c.DEVICE_MODEL, len(signature))
        return self._to_end(signature)

    def _to_end(self, signature: bytes) -> Event:
        at = self._source.offset - len(signature)
        if self._source.size is not None:
            return self._event(c.DEVICE_MODEL, signature, self._source.size - self._source.offset)
        rest = bytearray()
        while part := self._source.read(len(self._source.peek(TO_END_LIMIT))):
            rest += part
            if len(rest) > TO_END_LIMIT:
                self._wrong(f"more than {TO_END_LIMIT} bytes to the end", c.DEVICE_MODEL)
        return Event(
            self._source, LEGACY, RECORD, c.RECORDS[c.DEVICE_MODEL], memoryview(signature),
            length=len(rest), type_=c.DEVICE_MODEL, padded=False, taken=bytes(rest), offset=at,
        )  # fmt: skip

    def _pv_tail(self) -> Iterator[Event]:
        raw = self._raw(4, "unmapped PFNs")
        count = int.from_bytes(raw, "little")
        yield from self._passed(self._event(c.UNMAPPED_PFNS, raw, count * self.header.width))
        size = self.vcpu_size + c.EXTENDED_VCPU_SIZE * self.extended + self.xsave_size
        for _ in self.vcpus:
            yield from self._passed(self._event(c.VCPU, b"", size))
        yield from self._passed(self._event(c.SHARED_INFO, b"", c.PAGE_SIZE))

    def _wrong(self, what: str, type_: int, back: int = 0, at: int | None = None) -> NoReturn:
        offset = self._source.offset - back if at is None else at
        raise Malformed(what, offset=offset, record=f"{LEGACY} {c.RECORDS[type_]}")


def blocks(body: bytes | memoryview) -> Iterator[tuple[bytes, int, bytes]]:
    r"""Yields name, size and data of the blocks of extended information.

    Raises Malformed where the last one does not end where they all should.

    >>> list(blocks(b"extv" + bytes(4) + b"xcnt" + b"\4\0\0\0" + b"\x60\3\0\0"))
    [(b'extv', 0, b''), (b'xcnt', 4, b'`\x03\x00\x00')]
    """
    at = 0
    while at < len(body):
        name, size = bytes(body[at : at + 4]), int.from_bytes(body[at + 4 : at + 8], "little")
        if at + 8 + size > len(body):
            raise Malformed(
                f"block {name!r} of {size} bytes in {max(0, len(body) - at - 8)}",
                record=f"{LEGACY} extended info",
            )
        yield name, size, bytes(body[at + 8 : at + 8 + size])
        at += 8 + size
