"""A stream put into another toolstack's frame: `convert --to`."""

from __future__ import annotations

from xensave.container.events import (
    CONTEXT,
    HEADER_KIND,
    LEGACY,
    LIBXC,
    LIBXL,
    RECORD,
    TRAILER,
    XENOPSD,
    Event,
)
from xensave.container.format import Format
from xensave.container.formats import FORMATS, format_named
from xensave.container.frames import xenopsd
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.convert.plan import CONVERT, DROP, INSERT, Change, Loss, Plan, Refused, place_of
from xensave.convert.stream.stream import Output
from xensave.errors import UsageError
from xensave.findings import Place

EMULATOR_LIMIT = xenopsd.QEMU_LIMIT
"""A longer state of a device model is not put into another frame: xenopsd takes no more."""

_EMULATOR_HEADER = libxl.EMULATOR_HEADER_SIZE
_STREAM = frozenset({LIBXC, LIBXL})


def frame_names() -> list[str]:
    """Return the formats that a stream can be put into.

    >>> frame_names()
    ['xl', 'libxl', 'libxc', 'libvirt', 'xenopsd']
    """
    return [each.name for each in FORMATS if each.inner]


class Reframer:
    """Takes the events of a walk and what they become, and gives the bytes of another frame.

    What the new frame demands and the old one does not have must be `metadata`, the user's own
    words: nothing is made up. State that has no place in it (a device model in libxc's stream,
    UEFI variables in libxl's) is a loss. Raises Refused where a frame cannot be made.
    """

    def __init__(self, to: str, metadata: bytes | None, plan: Plan) -> None:
        self._to: Format = format_named(to)
        self._metadata = metadata
        self._plan = plan
        self._begun = False
        self._place = Place(offset=0)

    @property
    def to(self) -> str:
        """The name of the format that is made."""
        return self._to.name

    def convert(self, event: Event, output: Output) -> Output:
        """Return what to write for an event that became `output`."""
        self._place = place_of(event)
        if event.kind == CONTEXT:
            raise self._refused("an HVM context alone is no guest: it has no memory")
        if event.layer in _STREAM:
            return (*self._begin(event), *self._stream(event, output))
        if event.kind == TRAILER:
            self._note(DROP, event.label, "the messages of a migration do not belong to a file")
        elif event.kind == HEADER_KIND and event.layer != LEGACY:
            self._header(event)
        elif event.layer == XENOPSD and event.kind == RECORD:
            return self._device(event)
        return ()

    def finish(self) -> Output:
        """Return what ends the frame."""
        if not self._begun:
            raise self._refused("there is no stream in it")
        return (self._to.back(),)

    def _header(self, event: Event) -> None:
        described = format_named(event.layer).describes(event)
        if event.layer == self._to.name and described and self._metadata is None:
            self._metadata = bytes(event.body())
        elif event.layer != self._to.name:
            reason = f"{self._to.title} is asked for"
            self._note(DROP, event.label, reason)

    def _begin(self, event: Event) -> tuple[bytes, ...]:
        if self._begun:
            return ()
        self._begun = True
        if self._to.demands and self._metadata is None:
            raise self._refused(
                f"{self._to.title} begins with {self._to.demands}, which the input does not have: "
                "give it by --config FILE"
            )
        options = event.header.options if isinstance(event.header, libxl.LibxlHeader) else 0
        try:
            front = self._to.front(self._metadata or b"", options)
        except UsageError as error:
            raise self._refused(error.message) from error
        self._note(INSERT, self._to.title, "it is asked for")
        return (front,)

    def _stream(self, event: Event, output: Output) -> Output:
        if event.layer == LIBXC:
            if event.type == libxc.CHECKPOINT and self._to.inner == LIBXC:
                raise self._refused("a checkpointed stream is libxl's, of a migration to a standby")
            return output
        if event.kind == HEADER_KIND or event.type in (libxl.LIBXC_CONTEXT, libxl.END):
            # The frame's own begin and end the stream.
            return ()
        if self._to.inner == LIBXL:
            return output
        return self._emulator(event)

    def _emulator(self, event: Event) -> Output:
        """Return an emulator's record of libxl in a frame that has none of those."""
        if event.type == libxl.EMULATOR_CONTEXT and self._to.name == XENOPSD:
            self._note(CONVERT, event.label, "xenopsd has a record of its own for it")
            state = bytes(self._bounded(event))[_EMULATOR_HEADER:]
            return (xenopsd.pack(xenopsd.QEMU_TRAD, state),)
        self._lose(event, f"{self._to.title} has no place for it")
        return ()

    def _device(self, event: Event) -> Output:
        """Return a record of xenopsd's: the VM, a device, or what marks a stream or the end."""
        if self._to.name == XENOPSD and event.type not in (
            *xenopsd.STREAMS,
            xenopsd.END_OF_IMAGE,
            xenopsd.XENOPS,
        ):
            if len(event.raw) != xenopsd.PAIR.size:
                # In a suspend image of old the device model's state has another header.
                return (xenopsd.pack(event.type, self._bounded(event)),)
            return (bytes(event.to_bytes()),)
        if event.type == xenopsd.XENOPS:
            if self._to.name == XENOPSD:
                self._metadata = self._metadata or bytes(event.body())
            else:
                self._note(DROP, event.label, f"{self._to.title} is asked for")
            return ()
        if event.type == xenopsd.QEMU_TRAD and self._to.inner == LIBXL:
            self._note(CONVERT, event.label, "libxl has a record of its own for it")
            head = libxl.EmulatorHeader(libxl.QEMU_UPSTREAM, 0).to_bytes()
            return (pack_record(libxl.EMULATOR_CONTEXT, head + self._bounded(event)),)
        if event.length:
            self._lose(event, f"{self._to.title} has no place for it")
        return ()

    def _bounded(self, event: Event) -> bytes | memoryview:
        if event.length > EMULATOR_LIMIT:
            raise self._refused(f"{event.length} bytes of state, the limit is {EMULATOR_LIMIT}")
        return event.body()

    def _lose(self, event: Event, reason: str) -> None:
        loss = (Loss(event.name, f"{event.length} bytes"),)
        change = Change(self._place, DROP, event.label, reason, loss, 1)
        self._plan.changes.append(change)

    def _note(self, action: str, what: str, reason: str) -> None:
        self._plan.changes.append(Change(self._place, action, what, reason))

    def _refused(self, message: str) -> Refused:
        return Refused(message, self._plan, offset=self._place.offset, record=self._place.record)
