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
    Event,
)
from xensave.container.format import Format
from xensave.container.formats import format_named
from xensave.container.streams import libxc, libxl
from xensave.convert.plan import CONVERT, DROP, INSERT, Noting, Plan, place_of
from xensave.convert.stream.stream import Output
from xensave.errors import UsageError
from xensave.image.tally import STATE_LIMIT

_STREAM = frozenset({LIBXC, LIBXL})


class Reframer(Noting):
    """Takes the events of a walk and what they become, and gives the bytes of another frame.

    What the new frame demands and the old one does not have must be `metadata`, the user's own
    words: nothing is made up. State that has no place in it (a device model in libxc's stream,
    UEFI variables in libxl's) is a loss. Raises ConversionRefused where a frame cannot be made.
    """

    def __init__(self, to: str, metadata: bytes | None, plan: Plan) -> None:
        super().__init__(plan)
        self._to: Format = format_named(to)
        self._metadata = metadata
        self._begun = False

    @property
    def to(self) -> str:
        """The name of the format that is made."""
        return self._to.name

    def convert(self, event: Event, output: Output) -> Output:
        """Returns what to write for an event that became `output`."""
        self._place = place_of(event)
        if event.kind == CONTEXT:
            raise self.refused("an HVM context alone is no guest: it has no memory")
        if event.layer in _STREAM:
            return (*self._begin(event), *self._stream(event, output))
        if event.kind == TRAILER:
            self._note(DROP, event.label, "the messages of a migration do not belong to a file")
        elif event.kind == HEADER_KIND and event.layer != LEGACY:
            self._header(event)
        elif event.kind == RECORD:
            return self._record(event)
        return ()

    def finish(self) -> Output:
        """Returns what ends the frame."""
        if not self._begun:
            raise self.refused("there is no stream in it")
        return (self._to.back(),)

    def _header(self, event: Event) -> None:
        described = format_named(event.layer).describes(event)
        if event.layer == self._to.name and described and self._metadata is None:
            self._metadata = bytes(event.body())
        elif event.layer != self._to.name:
            self._note(DROP, event.label, f"{self._to.title} is asked for")

    def _begin(self, event: Event) -> tuple[bytes, ...]:
        if self._begun:
            return ()
        self._begun = True
        if self._to.demands and self._metadata is None:
            raise self.refused(
                f"{self._to.title} begins with {self._to.demands}, which the input does not have: "
                "give it by --config FILE"
            )
        options = event.header.options if isinstance(event.header, libxl.LibxlHeader) else 0
        try:
            front = self._to.front(self._metadata or b"", options)
        except UsageError as error:
            raise self.refused(error.message) from error
        self._note(INSERT, self._to.title, "it is asked for")
        return (front,)

    def _stream(self, event: Event, output: Output) -> Output:
        if event.layer == LIBXC:
            if event.type == libxc.CHECKPOINT and self._to.inner == LIBXC:
                raise self.refused("a checkpointed stream is libxl's, of a migration to a standby")
            return output
        if event.kind == HEADER_KIND or event.type in (libxl.LIBXC_CONTEXT, libxl.END):
            # The frame's own begin and end the stream.
            return ()
        return output if self._to.inner == LIBXL else self._elsewhere(event)

    def _record(self, event: Event) -> Output:
        """Returns a record of a frame's own: of the guest, a device, or what marks a stream."""
        own = format_named(event.layer)
        if own.describes(event):
            if own is self._to:
                self._metadata = self._metadata or bytes(event.body())
            else:
                self._note(DROP, event.label, f"{self._to.title} is asked for")
            return ()
        if own is self._to and event.type not in own.marks:
            if len(event.raw) != len(own.pack(event.type)):
                # In an older suspend image the device model's state has another header.
                return (own.pack(event.type, self._bounded(event)),)
            return (bytes(event.to_bytes()),)
        return self._elsewhere(event) if event.length else ()

    def _elsewhere(self, event: Event) -> Output:
        """Returns what a frame has for a record of another: a device model's state, or nothing."""
        own, to = format_named(event.layer), self._to
        home = to
        if to.device_model is None and to.inner is not None:
            home = format_named(to.inner)
        if event.type != own.device_model or home.device_model is None:
            reason = f"{to.title} has no place for it"
            self._lose(event.name, f"{event.length} bytes", reason, event.label)
            return ()
        self._note(CONVERT, event.label, f"{home.name} has a record of its own for it")
        state = own.model_head + bytes(self._bounded(event))
        return (home.pack(home.device_model, state[len(home.model_head) :]),)

    def _bounded(self, event: Event) -> bytes | memoryview:
        """Returns a body; xenopsd, for one, takes no longer state of a device model."""
        if event.length > STATE_LIMIT:
            raise self.refused(f"{event.length} bytes of state, the limit is {STATE_LIMIT}")
        return event.body()
