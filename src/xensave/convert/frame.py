"""What stands around a stream: kept, and made to announce what follows it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xensave.catalogue.dates import version
from xensave.container.events import HEADER_KIND, LEGACY, LIBXC, LIBXL, RECORD, TRAILER, Event
from xensave.container.formats import format_named
from xensave.container.frames import xl
from xensave.container.made import MadeEvent
from xensave.container.streams import libxc
from xensave.convert.configuration import mended
from xensave.convert.plan import DROP, REWRITE, Action, Plan, PlannedChange, place_of
from xensave.convert.reframe import Reframer
from xensave.convert.settings import Settings
from xensave.convert.stream.stream import Judging, Output, StreamConverter
from xensave.errors import Unsupported
from xensave.findings import NOTE, Place
from xensave.image import open_image
from xensave.rules.stream.run import Checks
from xensave.source import Source

if TYPE_CHECKING:
    from xensave.convert.downgrade import Downgrade, LegacyFacts


class FrameConverter:
    """Converts the events of a walk: the stream's by a StreamConverter, the frame's here.

    A legacy stream comes as the version 3 stream that it stands for. Its own header goes, and the
    frame around it announces a stream of today. Its records must keep to the rules of version 3:
    what Xen's converter would pass on broken is refused, and a batch that says nothing is left out.
    `judging` says when the stream is judged.
    """

    def __init__(
        self,
        settings: Settings,
        known: LegacyFacts | None = None,
        judging: Judging = Judging.AS_IT_COMES,
    ) -> None:
        self._settings = settings
        self._stream = StreamConverter(settings, judging)
        self._made = Checks()
        self._legacy = False
        self.plan: Plan = self._stream.plan
        self._frame = None
        if settings.to is not None:
            self._frame = Reframer(settings.to, settings.metadata, self.plan)
        self._down: Downgrade | None = None
        if settings.to_legacy:
            from xensave.convert.downgrade import Downgrade

            self._down = Downgrade(settings.release, self.plan, known)

    @property
    def legacy_facts(self) -> LegacyFacts | None:
        """What this pass found for a legacy stream; None where none is made."""
        return self._down.facts if self._down is not None else None

    @property
    def reframes(self) -> bool:
        """Whether the stream comes into another frame."""
        return self._frame is not None or self._down is not None

    def convert(self, event: Event) -> Output:
        """Returns what to write for an event. Raises ConversionRefused."""
        output = self._in_its_frame(event)
        if self._down is not None:
            return self._down.convert(event, output)
        return output if self._frame is None else self._frame.convert(event, output)

    def check_whole(self, source: Source | None = None) -> None:
        """Judges all that was made, libxl's records included. Raises ConversionRefused.

        With the `source` that it was made of, where that can be read again, a PV guest's page
        tables are looked at too.
        """
        again = source.again() if source is not None else None
        if source is None or again is None:
            self._stream.check_whole()
            return
        with open_image(source.name, source=again) as image:
            self._stream.check_whole(image)

    def finish(self) -> Output:
        """Returns what ends the result, where the last event does not."""
        if self._down is not None:
            return self._down.finish()
        return () if self._frame is None else self._frame.finish()

    def _in_its_frame(self, event: Event) -> Output:
        if event.layer == LEGACY and event.kind == HEADER_KIND:
            self._legacy = True
            if self._down is None:
                what = "a legacy stream to one of version 3"
                self._note(event, REWRITE, what, "Xen 4.6 and later write no other")
            return ()
        if event.kind == TRAILER and (self._legacy or self._down is not None):
            self._note(event, DROP, event.label, "no reader of a legacy stream goes beyond its end")
            return ()
        if event.made:
            return self._of_legacy(event)
        if event.kind == HEADER_KIND and not self._stays_behind(event):
            return self._header(event)
        if event.kind == RECORD and event.layer not in (LIBXC, LIBXL) and self._down is None:
            modern = format_named(event.layer).modern
            if event.type in modern:
                self._note(event, REWRITE, event.label, "a stream of today follows, no legacy one")
                return self._stream.frame_record(event, modern[event.type])
        return (event,) if self._stays_behind(event) else self._stream.convert(event)

    def _stays_behind(self, event: Event) -> bool:
        """Whether an event is of a frame that is left: what its reader refuses does not count."""
        return self._frame is not None and event.layer not in (LIBXC, LIBXL, self._frame.to)

    def _of_legacy(self, event: Event) -> Output:
        if event.is_record(LIBXC, libxc.PAGE_DATA) and not any(event.prefix(4)):
            self._note(event, DROP, "a batch of holes", "a record without a page is no record")
            return ()
        broken = [finding for finding in self._made.look(event) if finding.severity != NOTE]
        if broken:
            message = f"{broken[0].message} [{broken[0].rule}]"
            raise self.plan.refusal(message, broken[0].place)
        return self._stream.convert(event)

    def _header(self, event: Event) -> Output:
        event = self._configured(event)
        header = event.header
        if self._down is not None:
            return self._old_header(event, self._down)
        try:
            new = format_named(event.layer).announcing(header) if header is not None else None
        except Unsupported as error:
            if self._frame is not None:
                return (event,)
            raise self.plan.refusal(error.message, Place(0, error.record)) from error
        if new is None:
            self._note(event, DROP, event.label, "no release that reads today's streams reads it")
            return ()
        if new == header:
            return self._stream.convert(event)
        self._note(event, REWRITE, event.label, "a stream of today follows, no legacy one")
        return self._stream.convert(MadeEvent.with_header(event, new))

    def _configured(self, event: Event) -> Event:
        """Returns xl's header with a configuration that the target's libxl takes on its host."""
        header = event.header
        if not isinstance(header, xl.XlHeader) or not header.json:
            return event
        if self._frame is not None and self._frame.to != event.layer:
            return event
        body, done = mended(bytes(event.body()), version(self._settings.target))
        for mend, before in done:
            lost = mend.loss(before)
            change = PlannedChange(
                place_of(event), REWRITE, mend.what, mend.reason, lost, len(lost)
            )
            self.plan.note(change._replace(citation=mend.citation))
        if not done:
            return event
        return MadeEvent.with_header(event, header._replace(optional_length=len(body)), body)

    def _old_header(self, event: Event, down: Downgrade) -> Output:
        """Returns a frame's header as a release reads it that restores legacy streams only."""
        header = event.header
        if event.layer in (LIBXC, LIBXL) or header is None:
            return self._stream.convert(event)
        new = format_named(event.layer).announcing(header, legacy=True)
        if new is None:
            raise down.refused(f"{format_named(event.layer).title} has no legacy form")
        body = bytes(event.body())
        if isinstance(new, xl.XlHeader):
            new, body = down.xl_header(new, body, self._settings.metadata)
        if new.to_bytes() == bytes(event.raw) and body == bytes(event.body()):
            return (event,)
        self._note(event, REWRITE, event.label, "a legacy stream follows")
        return (new.to_bytes() + body,)

    def _note(self, event: Event, action: Action, what: str, reason: str) -> None:
        self.plan.changes.append(PlannedChange(place_of(event), action, what, reason))
