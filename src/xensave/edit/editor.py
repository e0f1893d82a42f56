"""Edit an image event by event: what each header and record becomes, and what that changed."""

from __future__ import annotations

from collections import Counter

from xensave.container.events import CONTEXT, HEADER_KIND, LIBXC, RECORD, XL, Event
from xensave.container.frames.config import parse_config, written_values
from xensave.container.frames.xl import OptionalData, XlHeader
from xensave.container.framing import pack_record
from xensave.container.streams import hvm, libxc
from xensave.container.streams.libxc import DomainHeader
from xensave.context import Context, ContextRecord
from xensave.diff.change import FieldDifference, changes_of
from xensave.edit.assignment import CONFIG, Assignment
from xensave.edit.configuration import assign, leaves_of_config
from xensave.edit.document.config import config_bytes, style_of
from xensave.edit.document.events import refuse_made
from xensave.edit.target import changed_body
from xensave.errors import UsageError
from xensave.image.facts.stream import release_named
from xensave.records.codec import decode
from xensave.records.meaning.leaves import Leaf, leaves_of
from xensave.records.stream import shown_layout

_VCPU = "X86_PV_VCPU_"


class Editor:
    """Applies assignments to the events of one walk, in order.

    `changes` are what they changed so far. `release` is the release whose layouts the context is
    read by, where the image does not name it.
    """

    def __init__(self, assignments: list[Assignment], release: str | None = None) -> None:
        self.assignments = assignments
        self.release = release
        self.changes: list[FieldDifference] = []
        self._met: Counter[str] = Counter()

    def edit(self, event: Event) -> bytes | None:
        """Returns what an event becomes, None where it stays as it is.

        Raises UsageError for a field that its record does not have or a value that does not fit,
        Unsupported for a legacy stream.
        """
        refuse_made(event)
        if event.kind == HEADER_KIND:
            return self._header(event)
        if event.kind == CONTEXT:
            return self._context(event)
        if event.kind != RECORD or event.layer != LIBXC:
            return None
        edit = self._context if event.type == libxc.HVM_CONTEXT else self._record
        body = edit(event)
        return None if body is None else pack_record(event.type, body)

    def check_met(self) -> None:
        """Raises UsageError for an assignment to a record that the image does not hold."""
        for assignment in self.assignments:
            if not self._met[assignment.text]:
                instance = "" if assignment.first is None else f"[{assignment.first}]"
                name = assignment.record if assignment.record != CONFIG else "configuration"
                raise UsageError(f"{assignment.text}: the image holds no {name}{instance}")

    def _header(self, event: Event) -> bytes | None:
        if self.release is None and isinstance(event.header, DomainHeader):
            self.release = release_named(event.header)
        wanted = [each for each in self.assignments if each.record == CONFIG]
        if event.layer != XL or not wanted or not isinstance(event.header, XlHeader):
            return None
        optional = OptionalData.parse(event.body())
        config = parse_config(bytes(event.body())).checked()
        if not config.values:
            raise UsageError(f"{wanted[0].text}: the configuration is no JSON")
        if config.rest:
            raise UsageError(f"{wanted[0].text}: text follows the configuration's JSON")
        values = written_values(config)
        before = leaves_of_config(values)
        for assignment in wanted:
            assign(values, assignment)
            self._met[assignment.text] += 1
        self.changes += changes_of("config", before, leaves_of_config(values))
        text = config_bytes(values, style_of(config.text))
        data = optional._replace(config=text).to_bytes()
        return event.header._replace(optional_length=len(data)).to_bytes() + data

    def _record(self, event: Event) -> bytes | None:
        layout = shown_layout(event.name, event.length)
        instance = None
        if event.name.startswith(_VCPU) and event.length >= 4:
            instance = int.from_bytes(event.prefix(4), "little")
        wanted = self._wanted(event.name, event.type, instance)
        if not wanted:
            return None
        if layout is None or not event.length:
            raise UsageError(f"{wanted[0].text}: {event.name} has no fields here")
        body = old = bytes(event.body())
        for assignment in wanted:
            body = changed_body(event.name, layout, body, assignment)
        label = event.name if instance is None else f"{event.name}[{instance}]"
        before = leaves_of(event.name, layout, decode(layout, old, zeroextend=True))
        after = leaves_of(event.name, layout, decode(layout, body, zeroextend=True))
        self._note(label, before, after)
        return body

    def _context(self, event: Event) -> bytes | None:
        names = {each.record for each in self.assignments}
        if names <= {CONFIG}:
            return None
        context = Context.parse(bytes(event.body()), self.release, event.body_offset)
        records = tuple(self._context_record(context, record) for record in context)
        if all(new is old for new, old in zip(records, context.records, strict=True)):
            return None
        return context.with_records(records).to_bytes()

    def _context_record(self, context: Context, record: ContextRecord) -> ContextRecord:
        wanted = self._wanted(record.name, record.typecode, record.instance)
        for assignment in wanted:
            same = context.all(record.typecode)
            if assignment.first is None and len(same) > 1:
                raise UsageError(
                    f"{assignment.text}: there are {len(same)} records {record.name}: write"
                    f" {record.name}[{same[0].instance}], or [{same[0].instance}-"
                    f"{same[-1].instance}] for all"
                )
        if not wanted:
            return record
        if record.typecode == hvm.END_TYPECODE:
            raise UsageError(f"{wanted[0].text}: {record.name} has no fields")
        if record.layout is None:
            raise UsageError(f"{wanted[0].text}: no layout of {record.name} is known")
        body = record.body
        for assignment in wanted:
            body = changed_body(record.name, record.layout, body, assignment)
        new = record.with_body(body)
        before = leaves_of(record.name, record.layout, record.values)
        self._note(record.label, before, leaves_of(new.name, new.layout, new.values))
        return new

    def _wanted(self, name: str, typecode: int, instance: int | None) -> list[Assignment]:
        result = [each for each in self.assignments if each.names(name, typecode, instance)]
        for assignment in result:
            self._met[assignment.text] += 1
        return result

    def _note(self, label: str, before: dict[str, Leaf], after: dict[str, Leaf]) -> None:
        self.changes += changes_of(label, before, after)
