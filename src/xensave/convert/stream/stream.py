"""Convert an image event by event: what each header and record becomes for the target."""

from __future__ import annotations

import operator

from xensave import catalogue
from xensave.catalogue.dates import begun, version
from xensave.catalogue.model import Citation
from xensave.catalogue.points import asked_for
from xensave.container.events import CONTEXT, HEADER_KIND, LIBXC, LIBXL, RECORD, Event, Header
from xensave.container.framing import OPTIONAL, pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import TSC_INFO, TscInfo
from xensave.context import Context, ContextRecord
from xensave.convert.plan import DROP, INSERT, MAP, REPAIR, REWRITE, Change, Loss, Plan
from xensave.convert.records.context import MSRS, ContextConverter
from xensave.convert.records.losses import Losses, of_bytes
from xensave.convert.records.msrs import clamp_spec_ctrl
from xensave.convert.records.repair import parse
from xensave.convert.rules import DROP as DROP_RULE
from xensave.convert.rules import KEEP, RecordRule, record_of
from xensave.convert.settings import Settings
from xensave.convert.stream.made import Made, MadeEvent, check
from xensave.convert.stream.params import convert_params
from xensave.convert.stream.policy import fit_policy
from xensave.findings import Place
from xensave.toolstack.libxc.hypercalls import NO_PVRDTSCP, PVRDTSCP, PVRDTSCP_UNTIL

POLICIES = (libxc.X86_CPUID_POLICY, libxc.X86_MSR_POLICY)
STATIC = (libxc.X86_PV_INFO, *POLICIES)
V3_ONLY = (libxc.STATIC_DATA_END, *POLICIES)
LOOKED_AT = 64 * 1024
FIRST_STREAMED = "4.6"
"""The first release whose toolstack reads streams of records."""

Output = tuple["bytes | Event", ...]
"""What an event becomes: bytes to write, or the event itself, unchanged."""


class StreamConverter:
    """Turns events into what is to be written, and notes every change in `plan`.

    Call `convert` for each event of a walk, in order. Headers are decided at once; whether the
    target accepts the whole shows where the libxc stream ends or a checkpoint is complete.
    Raises Refused there; with `late` only where a checkpoint is, and by `check_whole`. For a target
    that reads legacy streams only the result is the records of version 2 that one is made of.
    """

    def __init__(self, settings: Settings, *, late: bool = False) -> None:
        self.settings = settings
        self._late = late
        self.target = settings.release
        self.plan = Plan(settings.target, settings.source)
        self._contexts = ContextConverter(self.target, self.plan, settings.by_code)
        self._made = Made(settings.target)
        self._first = version(asked_for(settings.target)[0])
        self._old_version = self._version = 0
        self._static_done = True

    def convert(self, event: Event) -> Output:
        """Return what to write for an event."""
        output = self._convert(event)
        for part in output:
            self._made.add(part if isinstance(part, Event) else self._as_event(event, part))
        ends = event.kind == CONTEXT or event.is_record(LIBXC, libxc.END)
        if (ends and not self._late) or event.is_record(LIBXC, libxc.CHECKPOINT):
            self._judge()
        return output

    def check_whole(self) -> None:
        """Judge all that was made, libxl's records included. Raises Refused."""
        self._judge()

    def _as_event(self, event: Event, part: bytes) -> Event:
        """Return bytes that stand in an event's place as an event of their own."""
        header: Header | None = None
        if isinstance(event.header, libxc.ImageHeader):
            header = libxc.ImageHeader.parse(part)
        elif isinstance(event.header, libxc.DomainHeader):
            header = libxc.DomainHeader.parse(part)
        return MadeEvent(event, part, header)

    def _convert(self, event: Event) -> Output:
        if event.kind == CONTEXT:
            return self._bare(event)
        if event.kind == HEADER_KIND:
            return self._header(event)
        ruled = self.settings.by_record.get((event.layer, event.type))
        if ruled is not None and event.kind == RECORD:
            return self._ruled(event, ruled)
        if event.kind == RECORD and event.layer == LIBXC:
            return self._libxc(event)
        if event.kind == RECORD and event.layer == LIBXL and self._unknown(event, "libxl-record"):
            return self._drop_unknown(event)
        return (event,)

    def _ruled(self, event: Event, rule: RecordRule) -> Output:
        """Do as the user says with a record of the stream."""
        if rule.action == KEEP:
            return (event,)
        if rule.action == DROP_RULE:
            named, lost = _losses(event)
            what = event.label
            self._note(Change(_place(event), DROP, what, rule.reason, named, lost, accepted=True))
            return ()
        code = record_of(str(rule.to))[1]
        what = f"{event.label} to {event.layer} {code:#x}"
        self._note(Change(_place(event), MAP, what, rule.reason))
        return (pack_record(code, event.body()),)

    def _note(self, change: Change) -> None:
        self._contexts.note(change)

    def _judge(self) -> None:
        check(self._made, self.plan, self._contexts.kept, self.settings.policy)

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
        self._static_done = True
        new = header._replace(version=self._version).to_bytes()
        if self._version == header.version:
            return (event,)
        self._static_done = self._version < 3
        if not self.target.stream_write:
            return (new,)
        reads = " and ".join(str(version) for version in self.target.stream_read)
        reason = f"{self.target.name} writes version {self._version} and reads {reads}"
        what = f"stream version {header.version} to {self._version}"
        self._note(Change(_place(event), REWRITE, what, reason))
        return (new,)

    def _domain_header(self, event: Event, header: libxc.DomainHeader) -> Output:
        old = f"{header.xen_major}.{header.xen_minor}"
        if self.plan.source is None and old in catalogue.release_names():
            self.plan.source = old
        major, minor = self.settings.version
        new = header._replace(xen_major=major, xen_minor=minor)
        if new == header:
            return (event,)
        reason = "the records are laid out as that release has them from here on"
        what = f"Xen {old} to {major}.{minor}"
        self._note(Change(_place(event), REWRITE, what, reason))
        return (new.to_bytes(),)

    def _libxc(self, event: Event) -> Output:
        if event.type == libxc.PAGE_DATA and self._static_done:
            return (event,)
        before = self._static_end(event)
        return before + self._record(event)

    def _static_end(self, event: Event) -> tuple[bytes, ...]:
        """Return STATIC_DATA_END where a v3 stream must have it and a v2 stream has none."""
        if self._static_done or event.type in STATIC:
            return ()
        self._static_done = True
        if event.type == libxc.STATIC_DATA_END:
            return ()
        reason = "version 3 marks the end of static data; a reader of version 2 infers it here"
        self._note(Change(_place(event), INSERT, "libxc STATIC_DATA_END", reason))
        return (pack_record(libxc.STATIC_DATA_END),)

    def _record(self, event: Event) -> Output:
        if event.type in POLICIES:
            self._made.ran_under(event.type, event.body())
        if event.type in V3_ONLY and self._version < 3:
            return self._drop_static(event)
        if event.type in POLICIES:
            return self._policy(event)
        converted = {
            libxc.HVM_CONTEXT: self._context,
            libxc.HVM_PARAMS: self._params,
            libxc.X86_TSC_INFO: self._tsc,
        }.get(event.type)
        if converted is not None:
            return converted(event)
        if self._unknown(event, "libxc-record"):
            return self._drop_unknown(event)
        return (event,)

    def _drop_static(self, event: Event) -> Output:
        """Leave out what a version 2 stream cannot have."""
        if event.type == libxc.STATIC_DATA_END:
            reason = "version 2 has no such record"
            self._note(Change(_place(event), DROP, event.label, reason))
            return ()
        named, lost = of_bytes("policy", event.body())
        reason = (
            f"version 2 has no such record: Xen {self.target.name} makes the guest's policy anew, "
            "from its configuration and the host's CPU"
        )
        self._note(Change(_place(event), DROP, event.label, reason, named, lost))
        return ()

    def _policy(self, event: Event) -> Output:
        body, changes = fit_policy(event.type, bytes(event.body()), self._first, _place(event))
        for change in changes:
            self._note(change)
        if not changes:
            return (event,)
        # A record without entries is refused; the guest gets the target's default then.
        return (pack_record(event.type, body),) if body else ()

    def _context(self, event: Event) -> Output:
        body = event.body()
        new = self._converted(body, event.body_offset)
        if new is None:
            return (event,)
        return (pack_record(event.type, new),)

    def _converted(self, body: bytes | memoryview, offset: int) -> bytes | None:
        """Return the converted context; None where it stays as it is."""
        source = self.plan.source
        context, mended = parse(body, source, offset, mend=self.settings.repair)
        for change in mended:
            self.plan.findings.append(change.finding)
            place = change.finding.place
            self._note(
                Change(
                    place,
                    REPAIR,
                    change.done,
                    change.finding.message,
                    citation=change.damage.citation,
                )
            )
        new = self._contexts.convert(context)
        if self.settings.repair:
            new = self._clamped(new)
        if new is context and not mended:
            return None
        return new.to_bytes()

    def _clamped(self, context: Context) -> Context:
        """Hold SPEC_CTRL to the policy that the guest has."""
        policy = self._made.policy() or self.settings.policy
        if policy is None:
            return context
        records: list[ContextRecord] = []
        for record in context.records:
            change = None
            new = record
            if record.name == MSRS:
                new, change = clamp_spec_ctrl(record, policy, self._first)
            if change is not None:
                self._note(change)
            records.append(new)
        same = all(map(operator.is_, records, context.records))
        return context if same else context.with_records(tuple(records))

    def _params(self, event: Event) -> Output:
        body, changes = convert_params(event.body(), self.target, _place(event))
        for change in changes:
            self._note(change)
        if not changes:
            return (event,)
        return (pack_record(event.type, body),)

    def _tsc(self, event: Event) -> Output:
        """Give a guest whose TSC mode the target has not the default mode."""
        body = event.body()
        if len(body) != TSC_INFO.size:
            return (event,)
        info = TscInfo.parse(body)
        if info.mode != PVRDTSCP or not begun(PVRDTSCP_UNTIL, self._first):
            return (event,)
        reason = f"Xen {self.target.name} has no such mode"
        lost = (Loss("mode", f"{info.mode} ({info.mode_name})"),)
        what = f"TSC mode {info.mode} to 0 (default)"
        cited = Citation(NO_PVRDTSCP.commit, NO_PVRDTSCP.subject, NO_PVRDTSCP.release)
        self._note(Change(_place(event), REWRITE, what, reason, lost, 1, citation=cited))
        return (pack_record(event.type, info._replace(mode=0).to_bytes()),)

    def _unknown(self, event: Event, space: str) -> bool:
        """Whether the target's toolstack would refuse the record: libxl ignores no record."""
        if event.layer == LIBXC and event.type & OPTIONAL:
            return False
        # What a legacy stream has no form for is told where one is made.
        release = self.target.name if self.target.stream_read else FIRST_STREAMED
        known = catalogue.numbers_of(space, release)
        return all(number.number != event.type for number in known)

    def _drop_unknown(self, event: Event) -> Output:
        named, lost = _losses(event)
        reason = f"the toolstack of {self.target.name} refuses a record of this type"
        self._note(Change(_place(event), DROP, event.label, reason, named, lost))
        return ()

    def _bare(self, event: Event) -> Output:
        body = event.body()
        new = self._converted(body, event.offset)
        return (event,) if new is None else (new,)


def _losses(event: Event) -> Losses:
    """Return what goes with a record: of a long one the front is looked at, the rest is lost."""
    named, lost = of_bytes("body", event.prefix(LOOKED_AT))
    if event.length > LOOKED_AT and not lost:
        named, lost = of_bytes("body", b"\1")
    return named, lost


def _place(event: Event) -> Place:
    return Place(offset=event.offset, record=event.label)
