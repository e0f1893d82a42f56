"""Walk, convert, write: the plan first where the input can be read twice, else as it comes."""

from __future__ import annotations

from xensave.container.events import LIBXC, LIBXL, XL, Event, LayerName
from xensave.container.streams.libxl import END
from xensave.container.walk import format_of, walk
from xensave.convert.frame import FrameConverter
from xensave.convert.output import Writer
from xensave.convert.plan import ConversionRefused, Plan
from xensave.convert.settings import Settings
from xensave.convert.stream.stream import Judging
from xensave.source import Input, Source, open_source
from xensave.source.base import write_all
from xensave.source.compression.compress import Compression
from xensave.source.limits import CHUNK
from xensave.source.output import is_atomic, writing
from xensave.source.spill import seekable
from xensave.source.stream import StreamSource


def plan_conversion(
    what: Input, settings: Settings, *, max_size: int | None = None, format: str | None = None
) -> Plan:
    """Returns what a conversion would do; page data is passed over. A pipe is read to its end.

    Raises ConversionRefused where the target would not take the result; losses are for
    `Plan.check`.

    >>> plan = plan_conversion("examples/hvm1.ctx", Settings("4.13", source="4.17"))
    >>> [(change.where.record, change.reason) for change in plan.changes]
    [('RTC[0]', 'RTC.2 of 24 bytes to RTC.1 of 16')]
    """
    with open_source(what, max_size=max_size, format=format) as source:
        return _plan(source, settings).plan


def convert(
    what: Input,
    out: str,
    settings: Settings,
    *,
    max_size: int | None = None,
    format: str | None = None,
    compression: Compression | None = None,
) -> Plan:
    """Converts `what` to `out` (paths, or "-"); returns the plan that was carried out.

    A file appears under its name only when it is complete. Input that can be read twice is
    planned first: a refusal writes nothing. From a pipe a refusal may come after the pages were
    passed on; the output then stops without END, and whoever reads it refuses it too. With
    `compression` the result is compressed.

    Raises ConversionRefused, and what a walk raises for a damaged image.
    """
    with _opened(what, settings, max_size, format) as source:
        # To decompress takes longer than all else: where nothing is seen of a refusal, once.
        once = source.beneath is not None and not settings.to_legacy
        planned = None if once and is_atomic(out) else _planned(source, settings)
        try:
            with writing(out, compression) as output:
                return _pass(source, output.fd, settings, planned, fresh=output.fresh)
        except ConversionRefused:
            if planned is None:
                # Say all that there is to say, not what was found up to the refusal.
                _planned(source, settings)
            raise


def _opened(what: Input, settings: Settings, max_size: int | None, format: str | None) -> Source:
    source = open_source(what, max_size=max_size, format=format)
    if not settings.to_legacy or source.again() is not None:
        return source
    # What precedes the pages of a legacy stream is known only behind them.
    whole = seekable(source)
    whole.format = format
    return whole


def _plan(source: Source, settings: Settings) -> FrameConverter:
    converter = FrameConverter(settings, judging=Judging.AT_THE_END)
    for event in walk(source):
        converter.convert(event)
    converter.finish()
    converter.check_whole(source)
    return converter


def _planned(source: Source, settings: Settings) -> FrameConverter | None:
    """Plans first, and refuses what loses state; None where the input cannot be read twice."""
    again = source.again()
    if again is None:
        return None
    with again:
        converter = _plan(again, settings)
        converter.plan.check(allow_loss=settings.allow_loss)
    return converter


def _pass(
    source: Source,
    fd: int,
    settings: Settings,
    planned: FrameConverter | None,
    *,
    fresh: bool = False,
) -> Plan:
    """Writes the converted image; what was not planned is checked change by change."""
    if planned is None:
        converter = FrameConverter(settings)
    else:
        converter = FrameConverter(settings, planned.legacy_facts, Judging.NEVER)
    writer = Writer(source, fd, fresh=fresh)
    outer = format_of(source).name
    seen = 0
    for event in walk(source, outer):
        output = converter.convert(event)
        if planned is None and len(converter.plan.changes) > seen:
            converter.plan.check(allow_loss=settings.allow_loss, since=seen)
            seen = len(converter.plan.changes)
        writer.put(output)
        if isinstance(source, StreamSource) and _is_last(event, outer):
            if not converter.reframes:
                _follow(source, event, fd)
            break
    writer.put(converter.finish())
    writer.close()
    return converter.plan if planned is None else planned.plan


_LAST = {LIBXC: LIBXC, LIBXL: LIBXL, XL: LIBXL}
"""Whose END is the last record of what a migration sends, by the outermost format."""


def _is_last(event: Event, outer: LayerName) -> bool:
    """Whether this is the END of the outermost stream: only other messages can follow."""
    layer = _LAST.get(outer)
    return event.layer == layer and event.is_record(layer, END) and not event.made


def _follow(source: StreamSource, event: Event, fd: int) -> None:
    """Passes on what follows a stream as it comes: the messages of a migration are a few bytes."""
    event.finish()
    while part := source.read_some(CHUNK):
        write_all(fd, memoryview(part))
