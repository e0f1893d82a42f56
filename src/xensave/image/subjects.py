"""The records of an image, to be shown one by one: those of the context and of the streams."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xensave import catalogue
from xensave.container.events import HVM, LIBXC, LIBXL, LayerName
from xensave.container.streams import libxc, libxl
from xensave.context import AbsentRecord, ContextRecord
from xensave.errors import UsageError
from xensave.image.image import Image
from xensave.image.tally import BufferedRecord
from xensave.records.stream import ENTRIES_LIMIT, shown_layout, stream_layout
from xensave.records.subject import Subject

_SPEC = re.compile(r"(?:(hvm|libxc|libxl)/)?([A-Za-z_]\w*|0[xX][0-9a-fA-F]+|\d+)(?::(\d+))?")


def all_subjects(image: Image) -> Iterator[Subject]:
    """Yields every record but those of pages: the streams', and the context's in their place."""
    for buffered in sorted(
        (record for records in image.tally.buffered.values() for record in records),
        key=lambda record: record.offset,
    ):
        if (buffered.layer, buffered.type) == (LIBXC, libxc.HVM_CONTEXT):
            yield from context_subjects(image)
        else:
            yield stream_subject(buffered)
    if image.tally.context is not None:
        yield from context_subjects(image)


def context_subjects(image: Image) -> Iterator[Subject]:
    """Yields the records of the HVM context."""
    for record in image.context:
        yield context_subject(record, image.release)


def context_tail(image: Image) -> bytes:
    """Returns the bytes behind END in the HVM context; none where there is no context."""
    return image.context.tail if image.has_context else b""


def context_subject(record: ContextRecord, release: str | None = None) -> Subject:
    """Returns a record of an HVM context, with what is known of its number and length."""
    return Subject(
        HVM,
        record.name,
        record.typecode,
        record.instance,
        record.offset,
        record.length,
        record.layout,
        record.body,
        _note(record, release),
    )


def stream_subject(record: BufferedRecord) -> Subject:
    """Returns a record of a libxc or libxl stream."""
    layout, note = None, ""
    if record.layer == LIBXC:
        layout = shown_layout(record.name, record.length)
        if layout is None and stream_layout(record.name, record.length) is not None:
            note = f"entries of more than {ENTRIES_LIMIT:,} bytes are not taken apart"
    if len(record.body) < record.length:
        note = f"the first {len(record.body)} bytes of {record.length}"
    return Subject(
        record.layer,
        record.name,
        record.type,
        None,
        record.offset,
        record.length,
        layout,
        record.body,
        note,
    )


def find_subjects(image: Image, spec: str) -> list[Subject]:
    """Returns the records that a specification names: "CPU", "CPU:1", "2", "libxc/HVM_PARAMS".

    A name or number is looked for in the HVM context, then in the libxc stream, then in the
    libxl stream; a layer before it settles which. Raises UsageError for what no record is
    called, AbsentRecord for what this image does not hold.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise UsageError(
            f"{spec!r} names no record; write it like CPU, CPU:1, 2 or libxc/HVM_PARAMS"
        )
    word, instance = match[2], match[3]
    layer = None if match[1] is None else LayerName(match[1])
    name = word.upper() if not word[0].isdigit() else int(word, 0)
    subjects = [
        subject
        for subject in all_subjects(image)
        if name in (subject.name.upper(), subject.typecode)
        and layer in (None, subject.layer)
        and (instance is None or subject.instance == int(instance))
    ]
    if not subjects:
        raise _absent(image, spec, name, layer)
    # A bare number or name means the innermost layer that has it.
    for wanted in (HVM, LIBXC, LIBXL):
        chosen = [subject for subject in subjects if subject.layer == wanted]
        if chosen:
            return chosen
    return subjects


def _absent(image: Image, spec: str, name: str | int, layer: LayerName | None) -> Exception:
    counted = [
        count
        for count in image.counts
        if name in (count.name, count.type) and layer in (None, count.layer)
    ]
    if counted:
        count = counted[0]
        return AbsentRecord(
            f"{count.layer} {count.name}: {count.records} records of {count.bytes} bytes, "
            "whose contents are not shown"
        )
    known = {*catalogue.record_names(), *libxc.RECORDS.values(), *libxl.RECORDS.values()}
    if isinstance(name, str) and name not in known:
        return UsageError(f"no record is called {spec!r}").among(name, known)
    return AbsentRecord(f"the image holds no {spec}")


def _note(record: ContextRecord, release: str | None) -> str:
    code = record.typecode
    if record.layout is None:
        reservation = catalogue.reservation_of(code)
        if reservation is None:
            return "no release of Xen has this number"
        owner = reservation.owner
        return f"no release of Xen has this number; {reservation} are reserved for {owner}"
    notes = []
    if release is not None and catalogue.name_of(code, release) is None:
        notes.append(f"Xen {release} has no record of this number")
    if record.length < record.layout.size:
        notes.append(
            f"{record.length} of the layout's {record.layout.size} bytes: the rest counts as zero"
        )
    return "; ".join(notes)
