"""A record's layout and history, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xensave.catalogue import shape as abi_shape
from xensave.catalogue.model import Binding, Field, Layout, Shape
from xensave.numbers.points import Bound, ranges
from xensave.records.flat import walk
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import plural, wrapped

if TYPE_CHECKING:
    from xensave.numbers.history import Version

Object = dict[str, object]
_LOADS = {
    "exact": "only this length is loaded",
    "zeroextend": "a shorter record is loaded, with zeroes behind it",
    "own": "the handler checks the length itself",
}


def layout_lines(
    layout: Layout,
    shape: Shape,
    binding: Binding,
    release: str,
    *,
    bits: int,
    width: int,
    points: Sequence[Bound] = (),
) -> Iterator[str]:
    """Yields a layout: what binds it, then a line a field, members of structs indented.

    `points` are the bindings in the release's point releases, where they differ.
    """
    yield f"{layout.record}, number {binding.typecode}, per {binding.kind}, in Xen {release}"
    more = " and what follows" if layout.flexible else ""
    abi = "" if bits == 64 else f" on {bits}-bit x86"
    yield f"  layout {layout.id}: struct {layout.struct}, {shape.size} bytes{more}{abi}"
    if len(points) > 1:
        yield from wrapped("; ".join(map(_at_points, points)), width, "  ", "    ")
    yield f"  load: {_LOADS[binding.load]}"
    handlers = [n for n in (binding.save, binding.check, binding.handler) if n]
    if handlers:
        label = "  handlers: "
        yield from wrapped(", ".join(handlers), width, label, " " * len(label))
    other = 32 if bits == 64 else 64
    size = abi_shape(layout, other).size
    if size != shape.size:
        yield f"  on {other}-bit x86: {size} bytes"
    yield ""
    yield from table_lines(
        ("offset", "size", "type", "field"), list(_field_rows(shape.fields)), width, right=(0, 1)
    )


def _at_points(bound: Bound) -> str:
    if bound.binding is None:
        return f"in {bound.span} none"
    return f"in {bound.span} {bound.binding.layout}, {bound.size} bytes"


def history_lines(
    versions: Sequence[Version], names: Sequence[tuple[str, str, str]], width: int
) -> Iterator[str]:
    """Yields the history: a paragraph a version; `names` are (name, first, last) of its number."""
    yield "history"
    if len(names) > 1:
        yield "  its number: " + ", ".join(f"{n} {_period(a, b)}" for n, a, b in names)
    for version in versions:
        layout = version.layout
        yield f"  {layout.id}: {layout.size} bytes, {_when(version)}"
        if version.points and version.releases:
            text = f"and in point releases: {ranges(version.points)}"
            yield from wrapped(text, width, "    ")
        if layout.introduced:
            cited = f"{layout.introduced.commit} {layout.introduced.subject!r}"
            yield from wrapped(cited, width, "    ")
        for change in version.changes:
            yield from wrapped(str(change), width, "    * ", "      ")


def layout_object(
    layout: Layout,
    shape: Shape,
    binding: Binding,
    release: str,
    *,
    bits: int,
    points: Sequence[Bound] = (),
) -> Object:
    """Returns a layout as an object."""
    return {
        "name": layout.record,
        "number": binding.typecode,
        "kind": binding.kind,
        "load": binding.load,
        "release": release,
        "layout": layout.id,
        "struct": layout.struct,
        "bits": bits,
        "size": shape.size,
        "flexible": layout.flexible,
        "fields": [_field_object(field) for field in shape.fields],
        "points": [
            {
                "releases": list(bound.points),
                "layout": bound.binding.layout if bound.binding else None,
                "size": bound.size,
            }
            for bound in points
        ],
    }


def history_objects(versions: Sequence[Version]) -> list[Object]:
    """Returns the history as objects."""
    return [
        {
            "layout": version.layout.id,
            "size": version.layout.size,
            "releases": list(version.releases),
            "converted_by": list(version.converted_by),
            "point_releases": list(version.points),
            "loads": list(version.loads),
            "introduced": version.layout.introduced._asdict()
            if version.layout.introduced
            else None,
            "compared_with": version.since,
            "changes": [
                {
                    "kind": change.kind,
                    "field": change.path,
                    "before": change.before._asdict() if change.before else None,
                    "after": change.after._asdict() if change.after else None,
                }
                for change in version.changes
            ],
        }
        for version in versions
    ]


def _when(version: Version) -> str:
    if version.releases:
        return _period(version.releases[0], version.releases[-1])
    if version.converted_by:
        readers = _period(version.converted_by[0], version.converted_by[-1])
        return f"saved by none, converted on load by {readers}"
    return f"in point releases alone: {ranges(version.points)}"


def _period(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _field_rows(fields: tuple[Field, ...]) -> Iterator[tuple[str, str, str, str]]:
    for place in walk(fields):
        field, offset = place.field, f"{place.offset}"
        dims = "".join(f"[{n}]" if n else "[]" for n in field.dims)
        size = f"{field.size}"
        if field.bits:
            shift, bits = field.bits
            offset = f"{place.offset + shift // 8}" + (f".{shift % 8}" if shift % 8 else "")
            size = f"{bits} {plural(bits, 'bit')}"
        name = (field.name or ("(union)" if field.union else "(struct)")) + dims
        yield offset, size, _kind(field), "  " * len(place.parents) + name


def _kind(field: Field) -> str:
    if field.fields and field.type in ("", "struct", "union"):
        return "union" if field.union else "struct"
    return field.type


def _field_object(field: Field) -> Object:
    described: Object = {
        "name": field.name,
        "type": field.type,
        "offset": field.offset,
        "size": field.size,
    }
    if field.dims:
        described["dims"] = list(field.dims)
    if field.bits:
        described["bits"] = list(field.bits)
    if field.fields:
        described["union"] = field.union
        described["fields"] = [_field_object(inner) for inner in field.fields]
    return described
