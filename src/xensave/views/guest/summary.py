"""What a person wants to know of an image first, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xensave import catalogue
from xensave.container.events import LIBXC
from xensave.container.streams import libxc
from xensave.context import Context
from xensave.image import Image
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import hang, plural

if TYPE_CHECKING:
    from xensave.container.streams.qemu import QemuSection
    from xensave.image import Count
    from xensave.image.facts.emulator import Emulator
    from xensave.views.records.record_json import Json

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_LABEL = 12


def summary_lines(image: Image, width: int) -> Iterator[str]:
    """Yields the summary: guest, hypervisor, memory, devices, then the records."""
    yield escape(image.name)
    for label, text in summary_facts(image):
        yield from hang(f"  {label}", text, width, _LABEL)
    if image.counts:
        yield ""
        rows = [(f"{c.layer} {c.name}", *counted(image, c)) for c in image.counts]
        yield from _table(("record", "count", "bytes"), rows, width)
    if image.has_context:
        yield ""
        yield from _table(("HVM record", "count", "bytes"), _context_rows(image.context), width)
    for emulator in image.emulators:
        if emulator.sections:
            yield ""
            yield from section_lines(emulator, width)


def counted(image: Image, count: Count) -> tuple[str, str]:
    """Returns how many records of a type there are, and their bytes; a glance sees one of pages."""
    total = bytes_of(image, count)
    return f"{count.records:,}" if total == count.bytes else "?", f"{total:,}"


def bytes_of(image: Image, count: Count) -> int:
    """Returns the bytes of a type's records, with those that a glance passed over."""
    of_pages = (count.layer, count.type) == (LIBXC, libxc.PAGE_DATA)
    return count.bytes + (image.unread if of_pages else 0)


def section_lines(emulator: Emulator, width: int) -> Iterator[str]:
    """Yields a table of the sections of QEMU's state: device, instance, version and length."""
    yield from _table(
        ("QEMU section", "instance", "version", "bytes"),
        [(s.name, str(s.instance), str(s.version), f"{s.length:,}") for s in emulator.sections],
        width,
    )


def summary_json(image: Image) -> dict[str, Json]:
    """Returns the summary as an object; docs/reference/image/show.md says what its keys are."""
    from xensave.records.meaning.params import param_name
    from xensave.records.twins import hex64

    tsc = image.tsc_info
    return {
        "input": image.name,
        "containers": list(image.containers),
        "size": image.size,
        "guest": image.guest,
        "type": image.type,
        "bits": image.width,
        "xen": image.xen,
        "release": image.release,
        "vcpus": image.vcpus,
        "memory": image.configured_memory,
        "pages": None if image.unread else image.pages,
        "distinct_pages": None if image.unread else image.distinct_pages,
        "frames": None if image.unread else image.frames,
        "unread": image.unread,
        "checkpoints": image.tally.checkpoints,
        "trailer": image.tally.trailer,
        "tsc": dict(tsc._asdict()) if tsc else None,
        "params": [
            {"index": index, "name": param_name(index), "value": value, "hex": hex64(value)}
            for index, value in image.params.items()
        ],
        "details": [{"label": label, "text": text} for label, text in image.details],
        "emulators": [_emulator_json(emulator) for emulator in image.emulators],
        "records": [dict(count._asdict()) for count in image.counts],
        "context": _context_json(image.context) if image.has_context else None,
    }


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    return table_lines(heads, rows, width, right=range(1, len(heads)), indent="  ")


def summary_facts(image: Image) -> Iterator[tuple[str, str]]:
    """Yields what an image is, as labels and texts that are escaped for a terminal."""
    yield "image", f"{' > '.join(image.containers)}, {image.size:,} bytes"
    name = escape(image.guest) + ", " if image.guest else ""
    vcpus = f"{image.vcpus} {plural(image.vcpus, 'vCPU')}"
    bits = f" of {image.width} bits" if image.width else ""
    yield "guest", f"{name}{image.type.upper()}{bits}, {vcpus}"
    yield "saved by", _saved_by(image)
    if image.configured_memory is not None or image.frames:
        yield "memory", _memory(image)
    if image.tsc_info is not None:
        from xensave.records.meaning.timers import tsc_mode

        mode, khz, nsec, *_ = image.tsc_info
        yield "TSC", f"mode {tsc_mode(mode)}, {khz / 1000:.3f} MHz, {nsec / 1e9:.3f} s"
    if image.params:
        viridian = catalogue.number_in("hvm-param", "VIRIDIAN")
        if image.params.get(viridian):
            from xensave.records.meaning.params import param_meaning

            yield "viridian", param_meaning(viridian, image.params[viridian])
    for emulator in image.emulators:
        yield "emulator", _emulator(emulator)
    for label, text in image.details:
        yield label, escape(text)
    if image.tally.checkpoints:
        yield "checkpoints", f"{image.tally.checkpoints:,}; the last is shown"
    if image.tally.trailer:
        yield "trailer", _trailer(image)


def _trailer(image: Image) -> str:
    from xensave.container.frames.xl import MESSAGE

    what = f"{image.tally.trailer:,} bytes after the end of the stream"
    head = image.tally.trailing[: len(MESSAGE)]
    if head and MESSAGE.startswith(head):
        return f"{what}: xl's word to the receiver of a live migration that it may unpause"
    return what


def _saved_by(image: Image) -> str:
    text = f"Xen {image.xen}" if image.xen else "a Xen that it does not name"
    if image.release is None:
        unknown = ", which the catalogue does not have" if image.xen else ""
        return f"{text}{unknown}: layouts are taken by length"
    return text if image.release == image.xen else f"{text}, read as of Xen {image.release}"


def _memory(image: Image) -> str:
    memory = image.configured_memory
    configured = f"{size_text(memory)} configured, " if memory is not None else ""
    if image.unread:
        return f"{configured}{size_text(image.unread)} of page records passed over (--walk)"
    sent = f"{image.pages:,} pages with contents ({size_text(image.pages * 4096)})"
    distinct = image.distinct_pages
    if distinct == image.pages:
        return configured + sent
    if distinct is None:
        return f"{configured}{sent}, some of them sent again"
    frames = f"{distinct:,} frames with contents ({size_text(distinct * 4096)})"
    return f"{configured}{frames}, sent as {image.pages:,} pages"


def _emulator(emulator: Emulator) -> str:
    version = f" version {emulator.version}" if emulator.version is not None else ""
    text = f"{emulator.kind} {emulator.instance}: {emulator.format}{version}"
    keys = f", {len(emulator.xenstore)} xenstore keys" if emulator.xenstore else ""
    sections = f", {len(emulator.sections)} sections" if emulator.sections else ""
    return f"{text}, {emulator.length:,} bytes{sections}{keys}"


def size_text(count: int) -> str:
    """Returns a number of bytes in the largest unit that suits: "15.98 MiB"."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g} {_UNITS[unit]}" if value < 10000 else f"{value:.0f} {_UNITS[unit]}"


def _context_rows(context: Context) -> list[tuple[str, ...]]:
    totals: dict[str, tuple[int, int]] = {}
    for record in context:
        count, size = totals.get(record.name, (0, 0))
        totals[record.name] = (count + 1, size + record.length)
    rows: list[tuple[str, ...]] = [
        (name, f"{count:,}", f"{size:,}") for name, (count, size) in totals.items()
    ]
    if context.tail:
        rows.append(("after END", "", f"{len(context.tail):,}"))
    return rows


def _emulator_json(emulator: Emulator) -> Json:
    return {
        "kind": emulator.kind,
        "instance": emulator.instance,
        "format": emulator.format,
        "version": emulator.version,
        "length": emulator.length,
        "xenstore": [{"key": key, "value": value} for key, value in emulator.xenstore],
        "sections": [_section_json(section) for section in emulator.sections],
    }


def _section_json(section: QemuSection) -> Json:
    fields = section._asdict()
    del fields["id"]
    return {**fields, "subsections": [dict(each._asdict()) for each in section.subsections]}


def _context_json(context: Context) -> Json:
    return {
        "offset": context.offset,
        "records": [
            {
                "name": record.name,
                "type": record.typecode,
                "instance": record.instance,
                "offset": record.offset,
                "length": record.length,
                "layout": record.layout.id if record.layout else None,
            }
            for record in context
        ],
        "tail": len(context.tail),
    }
