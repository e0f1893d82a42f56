"""Convert an image event by event: what each header and record becomes for the target."""

from __future__ import annotations

import operator
from enum import Enum

from xensave import catalogue
from xensave.catalogue.dates import version
from xensave.catalogue.points import asked_for
from xensave.container.events import CONTEXT, HEADER_KIND, LIBXC, LIBXL, RECORD, Event, Header
from xensave.container.formats import format_named
from xensave.container.framing import OPTIONAL, pack_record
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import PAIR
from xensave.context import Context, ContextRecord
from xensave.convert.plan import (
    DROP,
    INSERT,
    MAP,
    REPAIR,
    REWRITE,
    Action,
    Plan,
    PlannedChange,
    place_of,
)
from xensave.convert.records.context import MSRS, ContextConverter
from xensave.convert.records.losses import NOTHING, Losses, of_bytes
from xensave.convert.records.msrs import Machines, clamp_spec_ctrl, fit_pv_msrs
from xensave.convert.records.repair import parse
from xensave.convert.rules import KEEP, RecordRule, record_of
from xensave.convert.settings import Settings
from xensave.convert.stream.made import ConvertedEvent, ConvertedImage, check
from xensave.convert.stream.mends import Circumstances, losses_of, mend, whole_entries
from xensave.convert.stream.params import convert_params
from xensave.convert.stream.policy import fit_policy
from xensave.image import Image
from xensave.rules.stream.formats.libxc import SHIFT_MASK
from xensave.rules.stream.formats.release import known_records, streamed
from xensave.rules.stream.libxc.static_data import MEMORY, OF_VERSION_3, POLICIES
from xensave.toolstack.rule import Restore

_CHECKPOINT = (LIBXC, libxc.CHECKPOINT)
_ENDS = ((LIBXC, libxc.END), (LIBXL, libxl.END))
STATIC = (libxc.X86_PV_INFO, *POLICIES)

CHECKPOINTS_FLOOR = 256
"""So many checkpoints are judged however short they are ..."""

CHECKPOINT_BYTES = 1 << 14
"""... and beyond them one for so many bytes: a checkpoint has at least a guest's context."""

Output = tuple["bytes | Event", ...]
"""What an event becomes: bytes to write, or the event itself, unchanged."""


class Judging(Enum):
    """When the result is judged: at each end that comes, when all was read, or not again."""

    AS_IT_COMES = 0
    AT_THE_END = 1
    NEVER = 2


class StreamConverter:
    """Turns events into what is to be written, and notes every change in `plan`.

    Call `convert` for each event of a walk, in order. Headers are decided at once. Whether the
    target accepts the whole shows where libxc's or libxl's stream ends, or a checkpoint is
    complete; ConversionRefused is raised there, or by `check_whole` where all is read first. Of
    more checkpoints than CHECKPOINTS_FLOOR and one for CHECKPOINT_BYTES of the stream each, those
    that are passed are judged with what follows them. For
    a target that reads legacy streams only the result is the records of version 2 that one is
    made of.
    """

    def __init__(self, settings: Settings, judging: Judging = Judging.AS_IT_COMES) -> None:
        self.settings = settings
        self._judging = judging
        self.target = settings.release
        self.plan = Plan(settings.target, settings.source)
        self._contexts = ContextConverter(
            self.target, self.plan, settings.by_typecode, self._machines
        )
        self._ruled_records = settings.by_record
        self._made = ConvertedImage(settings)
        self._first = version(asked_for(settings.target)[0])
        self._old_version = self._version = 0
        self._static_done = True
        self._guest = 0
        self._setting: tuple[Machines, ...] = ()
        self._restores: tuple[Restore, ...] = ()
        self._checkpoints = 0

    def convert(self, event: Event) -> Output:
        """Returns what to write for an event."""
        output = self._convert(event)
        for part in output:
            self._made.add(part if isinstance(part, Event) else self._as_event(event, part))
        place = (event.layer, event.type)
        ends = event.kind == CONTEXT or place in _ENDS or self._ends_frame(event)
        comes = self._judging is Judging.AS_IT_COMES
        if (ends and comes) or (place == _CHECKPOINT and self._checkpoint(event)):
            self._judge()
        return output

    def _checkpoint(self, event: Event) -> bool:
        """Counts a checkpoint; tells whether it is judged by itself."""
        due = self._checkpoints < CHECKPOINTS_FLOOR + event.end // CHECKPOINT_BYTES
        self._checkpoints += due
        return due

    def _ends_frame(self, event: Event) -> bool:
        """Whether it marks the end of a frame with records of its own behind the stream."""
        if event.kind != RECORD or event.layer in (LIBXC, LIBXL):
            return False
        return event.type in format_named(event.layer).marks and self._made.seen(LIBXC, libxc.END)

    def frame_record(self, event: Event, type_: int) -> Output:
        """Returns a record without a body for one of the frame around the stream."""
        part = format_named(event.layer).pack(type_)
        self._made.add(ConvertedEvent(event, part, type_=type_))
        return (part,)

    def check_whole(self, image: Image | None = None) -> None:
        """Judges all that was made, libxl's records included. Raises ConversionRefused.

        With the `image` that it was made of a PV guest's page tables are looked at too.
        """
        self._judge(image)

    def _as_event(self, event: Event, part: bytes) -> Event:
        """Returns bytes that stand in an event's place as an event of their own."""
        header: Header | None = None
        if isinstance(event.header, libxc.ImageHeader):
            header = libxc.ImageHeader.parse(part)
        elif isinstance(event.header, libxc.DomainHeader):
            header = libxc.DomainHeader.parse(part)
        return ConvertedEvent(event, part, header)

    def _convert(self, event: Event) -> Output:
        if event.kind == CONTEXT:
            return self._bare(event)
        if event.kind == HEADER_KIND:
            return self._header(event)
        ruled = self._ruled_records.get((event.layer, event.type))
        if ruled is not None and event.kind == RECORD:
            return self._ruled(event, ruled)
        if event.kind == RECORD and event.layer == LIBXC:
            return self._libxc(event)
        if event.kind == RECORD and event.layer == LIBXL and self._unknown(event):
            return self._drop_unknown(event)
        return (event,)

    def _ruled(self, event: Event, rule: RecordRule) -> Output:
        """Does as the user says with a record of the stream."""
        if rule.action == KEEP:
            return (event,)
        if rule.action == DROP:
            lost = losses_of(event)
            where = place_of(event)
            change = PlannedChange(where, DROP, event.label, rule.reason, *lost, accepted=True)
            self.plan.note(change)
            return ()
        number = record_of(str(rule.to))[1]
        what = f"{event.label} to {event.layer} {number:#x}"
        self._note(event, MAP, what, rule.reason)
        return (pack_record(number, event.body()),)

    def _note(
        self, event: Event, action: Action, what: str, reason: str, losses: Losses = NOTHING
    ) -> None:
        self.plan.note(PlannedChange(place_of(event), action, what, reason, *losses))

    def _replaced(
        self, event: Event, body: bytes | None, changes: tuple[PlannedChange, ...]
    ) -> Output:
        """Returns a record with another body, if anything changes; None for none."""
        self.plan.note(*changes)
        if not changes:
            return (event,)
        return () if body is None else (pack_record(event.type, body),)

    def _judge(self, image: Image | None = None) -> None:
        if self._judging is not Judging.NEVER:
            check(self._made, self.plan, self._contexts.kept_typecodes, image)

    def _header(self, event: Event) -> Output:
        header = event.header
        if isinstance(header, libxc.ImageHeader):
            return self._image_header(event, header)
        if isinstance(header, libxc.DomainHeader):
            return self._domain_header(event, header)
        return (event,)

    def _image_header(self, event: Event, header: libxc.ImageHeader) -> Output:
        self._old_version = header.version
        # A legacy stream is made of the records of version 2.
        self._version = self.target.stream_write or 2
        new = header._replace(version=self._version).to_bytes()
        self._static_done = self._version < 3
        if self._version == header.version:
            return (event,)
        if not self.target.stream_write:
            return (new,)
        reads = " and ".join(str(version) for version in self.target.stream_read)
        reason = f"{self.target.name} writes version {self._version} and reads {reads}"
        what = f"stream version {header.version} to {self._version}"
        self._note(event, REWRITE, what, reason)
        return (new,)

    def _domain_header(self, event: Event, header: libxc.DomainHeader) -> Output:
        old = f"{header.xen_major}.{header.xen_minor}"
        if self.plan.source is None and old in catalogue.release_names():
            self.plan.source = old
        major, minor = self.settings.version
        new = header._replace(xen_major=major, xen_minor=minor)
        if new != header:
            reason = "the records are laid out as that release has them from here on"
            what = f"Xen {old} to {major}.{minor}"
            self._note(event, REWRITE, what, reason)
        if header.page_shift & SHIFT_MASK != libxc.PAGE_SHIFT:
            new = new._replace(page_shift=libxc.PAGE_SHIFT)
            what = f"page shift {header.page_shift} to {libxc.PAGE_SHIFT}"
            self._note(event, REWRITE, what, "a page of an x86 guest has 4096 bytes")
        self._guest = header.type
        return (event,) if new == header else (new.to_bytes(),)

    def _libxc(self, event: Event) -> Output:
        if event.type == libxc.PAGE_DATA and self._static_done and event.length > PAIR.size:
            return (event,)
        return self._static_end(event) + self._record(event)

    def _static_end(self, event: Event) -> tuple[bytes, ...]:
        """Returns STATIC_DATA_END where a v3 stream must have it and a v2 stream has none."""
        if self._static_done or event.type in STATIC:
            return ()
        self._static_done = True
        if event.type == libxc.STATIC_DATA_END:
            return ()
        if self._old_version >= 3 and event.type not in MEMORY:
            # A reader looks for it at memory, and the image's own may come before.
            self._static_done = False
            return ()
        reason = "version 3 marks the end of static data; a reader of version 2 infers it here"
        self._note(event, INSERT, "libxc STATIC_DATA_END", reason)
        return (pack_record(libxc.STATIC_DATA_END),)

    def _record(self, event: Event) -> Output:
        if event.type in POLICIES:
            self._made.ran_under(event.type, event.body())
        if event.type in OF_VERSION_3:
            return self._static(event)
        mended = mend(event, self._circumstances())
        if mended is not None:
            return self._replaced(event, *mended)
        converted = {
            libxc.HVM_CONTEXT: self._context,
            libxc.HVM_PARAMS: self._params,
            libxc.X86_PV_VCPU_MSRS: self._pv_msrs,
        }.get(event.type)
        if converted is not None:
            return converted(event)
        return self._drop_unknown(event) if self._unknown(event) else (event,)

    def _static(self, event: Event) -> Output:
        """Converts what version 3 has before memory."""
        if self._version < 3:
            return self._drop_static(event)
        return self._policy(event) if event.type in POLICIES else self._marker(event)

    def _drop_static(self, event: Event) -> Output:
        """Leaves out what a version 2 stream cannot have."""
        reason, lost = "version 2 has no such record", NOTHING
        if event.type != libxc.STATIC_DATA_END:
            lost = of_bytes("policy", event.body())
            reason += (
                f": Xen {self.target.name} makes the guest's policy anew, from its configuration"
                " and the host's CPU"
            )
        self._note(event, DROP, event.label, reason, lost)
        return ()

    def _circumstances(self) -> Circumstances:
        seen = self._made.seen
        return Circumstances(self._guest, self._first, self.target.name, self.settings.repair, seen)

    def _marker(self, event: Event) -> Output:
        """Leaves out a second STATIC_DATA_END, such as one behind that which was put in."""
        if not self._made.seen(LIBXC, event.type):
            return (event,)
        self._note(event, DROP, event.label, "libxc refuses a second one")
        return ()

    def _policy(self, event: Event) -> Output:
        mended = whole_entries(event, self._circumstances())
        body = bytes(event.body()) if mended is None else mended.body or b""
        before = mended.changes if mended is not None else ()
        body, changes = fit_policy(event.type, body, self._first, place_of(event))
        # A record without entries is refused; the guest gets the target's default then.
        return self._replaced(event, body or None, (*before, *changes))

    def _context(self, event: Event) -> Output:
        new = self._converted(event.body(), event.body_offset)
        return (event,) if new is None else (pack_record(event.type, new),)

    def _converted(self, body: bytes | memoryview, offset: int) -> bytes | None:
        """Returns the converted context; None where it stays as it is."""
        source = self.plan.source
        context, mended = parse(body, source, offset, mend=self.settings.repair)
        for change in mended:
            finding, cited = change.finding, change.damage.citation
            self.plan.findings.append(finding)
            repair = PlannedChange(
                finding.place, REPAIR, change.done, finding.message, citation=cited
            )
            self.plan.note(repair)
        clamped = self._clamped(context) if self.settings.repair else context
        new = self._contexts.convert(clamped)
        if new is context and not mended:
            return None
        return new.to_bytes()

    def _clamped(self, context: Context) -> Context:
        """Holds SPEC_CTRL to the policy that the guest has."""
        records: list[ContextRecord] = []
        for record in context.records:
            new = record
            if record.name == MSRS:
                new, changes = clamp_spec_ctrl(record, self._machines())
                self.plan.note(*changes)
            records.append(new)
        same = all(map(operator.is_, records, context.records))
        return context if same else context.with_records(tuple(records))

    def _params(self, event: Event) -> Output:
        # Made once: later records add nothing that a param's rule asks for, and may be very many.
        self._restores = self._restores or self._made.restores()
        body, changes = convert_params(event.body(), self._restores, place_of(event))
        return self._replaced(event, body, changes)

    def _machines(self) -> tuple[Machines, ...]:
        """Returns what MSRs are set by. Made once: a stream's policies come before its vCPUs."""
        self._setting = self._setting or self._made.machines()
        return self._setting

    def _pv_msrs(self, event: Event) -> Output:
        """Leaves out the MSRs of a PV vCPU that the target does not set."""
        body = bytes(event.body())
        fitted = fit_pv_msrs(body, self._machines(), self.target.name, place_of(event))
        return self._replaced(event, *fitted)

    def _unknown(self, event: Event) -> bool:
        """Whether the target's toolstack would refuse the record: libxl ignores no record."""
        if event.layer == LIBXC and event.type & OPTIONAL:
            return False
        # What a legacy stream has no form for is told where one is made.
        release = self.target.name if self.target.stream_read else streamed()[0]
        return event.type not in known_records(f"{event.layer}-record", release)

    def _drop_unknown(self, event: Event) -> Output:
        reason = f"the toolstack of {self.target.name} refuses a record of this type"
        self._note(event, DROP, event.label, reason, losses_of(event))
        return ()

    def _bare(self, event: Event) -> Output:
        new = self._converted(event.body(), event.offset)
        return (event,) if new is None else (new,)
