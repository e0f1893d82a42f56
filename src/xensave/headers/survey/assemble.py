"""Readings of all releases to the catalogue's values: each layout once, each release's bindings."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.model import (
    EXACT,
    PER_DOMAIN,
    Binding,
    Layout,
    Release,
    Shape,
    Variant,
)
from xensave.catalogue.owned import OwnedRange
from xensave.errors import Malformed
from xensave.headers.model import HeaderRecord
from xensave.headers.survey.history import History, LayoutKey, layout_key, layouts_in
from xensave.headers.survey.reading import ReleaseReading

UNHANDLED = ("HEADER", "END")


class Catalogue(NamedTuple):
    """Everything that is written out: releases oldest first, layouts in the order of their ids."""

    releases: tuple[Release, ...]
    layouts: tuple[Layout, ...]


def assemble(series: dict[str, list[ReleaseReading]], history: History) -> Catalogue:
    """Returns the catalogue of the series, each given by its point releases, the oldest first.

    A series is what its first release is, for what that one restores, all of them do; the point
    releases that differ are its variants.
    """
    ids = _ids(series)
    releases = [_release(name, points, ids, history) for name, points in series.items()]
    return Catalogue(tuple(releases), tuple(_layouts(series, ids, history)))


def _ids(series: dict[str, list[ReleaseReading]]) -> dict[LayoutKey, str]:
    ids: dict[LayoutKey, str] = {}
    counts: dict[str, int] = {}
    for points in series.values():
        for reading in points:
            for layout in layouts_in(reading.space):
                key = layout_key(layout)
                if key not in ids:
                    counts[layout.record] = counts.get(layout.record, 0) + 1
                    ids[key] = f"{layout.record}.{counts[layout.record]}"
    return ids


def _layouts(
    series: dict[str, list[ReleaseReading]], ids: dict[LayoutKey, str], history: History
) -> list[Layout]:
    newest: dict[str, tuple[Layout, Layout | None]] = {}
    users: dict[str, list[str]] = {}
    native: set[str] = set()
    for name, points in series.items():
        for reading in points:
            for record in reading.space.records:
                for layout, narrow in _both(record):
                    layout_id = ids[layout_key(layout)]
                    newest[layout_id] = (layout, narrow)
                    if layout is record.layout:
                        native.add(layout_id)
                        users.setdefault(layout_id, []).append(name)
    layouts = []
    for layout_id in ids.values():
        layout, narrow = newest[layout_id]
        layouts.append(
            layout._replace(
                id=layout_id,
                introduced=history.cite_layout(layout),
                releases=tuple(dict.fromkeys(users.get(layout_id, ()))),
                compat=layout_id not in native,
                x86_32=_shape(layout, narrow),
            )
        )
    return layouts


def _both(record: HeaderRecord) -> list[tuple[Layout, Layout | None]]:
    pairs = [(record.compat, record.compat_x86_32), (record.layout, record.x86_32)]
    return [(layout, narrow) for layout, narrow in pairs if layout is not None]


def _shape(layout: Layout, narrow: Layout | None) -> Shape | None:
    if narrow is None or (narrow.size, narrow.align, narrow.fields) == (
        layout.size,
        layout.align,
        layout.fields,
    ):
        return None
    return Shape(narrow.size, narrow.align, narrow.fields)


def _release(
    name: str, points: list[ReleaseReading], ids: dict[LayoutKey, str], history: History
) -> Release:
    first = points[0]
    bindings = _bindings(first, ids)
    return Release(
        name=name,
        ref=first.ref,
        commit=first.commit,
        code_max=_code_max(first),
        entry_size=first.table.entry_size,
        check_pass=first.table.check_pass,
        bindings=bindings,
        reservations=tuple(
            OwnedRange(
                reservation.first,
                reservation.last,
                reservation.owner,
                citation=history.cite_reservation(reservation),
            )
            for reservation in first.space.reservations
        ),
        stream_write=first.streams[0],
        stream_read=first.streams[1],
        variants=_variants(points, bindings, ids),
    )


def _code_max(reading: ReleaseReading) -> int:
    if reading.space.code_max is None:
        raise Malformed(f"{reading.ref}: no HVM_SAVE_CODE_MAX")
    return reading.space.code_max


def _bindings(reading: ReleaseReading, ids: dict[LayoutKey, str]) -> tuple[Binding, ...]:
    handlers = {handler.record: handler for handler in reading.table.handlers}
    bindings = []
    for record in reading.space.records:
        handler = handlers.pop(record.name, None)
        if record.layout is None:
            raise Malformed(f"{reading.ref}: {record.place}: no struct", record=record.name)
        if handler is None and record.name not in UNHANDLED:
            raise Malformed(f"{reading.ref}: {record.place}: no handler", record=record.name)
        kind = handler.kind if handler else PER_DOMAIN
        if not kind:
            raise Malformed(f"{reading.ref}: {record.place}: of no kind", record=record.name)
        bindings.append(
            Binding(
                name=record.name,
                typecode=record.typecode,
                layout=ids[layout_key(record.layout)],
                size=record.layout.size,
                kind=kind,
                load=(handler.load_mode or EXACT) if handler else EXACT,
                compat=ids[layout_key(record.compat)] if record.compat else None,
                handler=handler.load if handler else "",
                save=handler.save if handler else "",
                check=handler.check if handler else "",
                instances=(handler.instances or 0) if handler else 1,
                file=handler.place.file or "" if handler else "",
            )
        )
    if handlers:
        raise Malformed(f"{reading.ref}: handlers of no record: {', '.join(sorted(handlers))}")
    return tuple(bindings)


def _variants(
    points: list[ReleaseReading], base: tuple[Binding, ...], ids: dict[LayoutKey, str]
) -> tuple[Variant, ...]:
    """Points releases that bind otherwise than the first, those alike together."""
    merged: dict[Variant, list[str]] = {}
    for reading in points[1:]:
        bindings = _bindings(reading, ids)
        names = {binding.name for binding in bindings}
        different = tuple(binding for binding in bindings if binding not in base)
        absent = tuple(binding.name for binding in base if binding.name not in names)
        if different or absent or _numbers(reading) != _numbers(points[0]):
            variant = Variant((), *_numbers(reading), different, absent)
            merged.setdefault(variant, []).append(reading.ref)
    return tuple(variant._replace(refs=tuple(refs)) for variant, refs in merged.items())


def _numbers(reading: ReleaseReading) -> tuple[int, int, bool]:
    return _code_max(reading), reading.table.entry_size, reading.table.check_pass
