"""An HVM context as a JSON object, record by record and field by field, and back."""

from __future__ import annotations

from functools import cache

from xensave import catalogue
from xensave.catalogue.model import Layout
from xensave.container.streams.hvm import DESCRIPTOR
from xensave.context import Context, ContextRecord
from xensave.edit.document.fields import body_bytes, body_json
from xensave.edit.document.members import Json, Members
from xensave.errors import Malformed, UsageError, XensaveError
from xensave.records.stream import stream_layouts

_BITS = 16


def context_json(body: bytes, release: str | None, offset: int) -> dict[str, Json]:
    """Returns a context as `records` and, if anything follows END, `tail`.

    One that cannot be split is given as its bytes.
    """
    try:
        context = Context.parse(body, release, offset)
    except XensaveError:
        return {"body": body}
    result: dict[str, Json] = {"records": [_record_json(record) for record in context]}
    if context.tail:
        result["tail"] = context.tail
    return result


def context_bytes(item: Members) -> bytes:
    """Returns the context again. Raises Malformed, naming the member."""
    if "records" not in item:
        return item.octets("body")
    records = b"".join(map(_record_bytes, item.objects("records")))
    return records + item.octets("tail", b"")


def layout_named(item: Members) -> Layout:
    """Returns the layout that an object's `layout` names, of a save record or of libxc's.

    Raises Malformed for a name that no layout has.
    """
    name = item.text("layout")
    result = _stream_layouts().get(name)
    if result is not None:
        return result
    try:
        return catalogue.layout(name)
    except UsageError as error:
        raise Malformed(error.message, path=f"{item.place}.layout") from error


def _record_json(record: ContextRecord) -> Json:
    result: dict[str, Json] = {
        "name": record.name,
        "type": record.typecode,
        "instance": record.instance,
    }
    if record.layout is not None:
        return {**result, **body_json(record.layout, record.body)}
    return {**result, "body": record.body} if record.body else result


def _record_bytes(item: Members) -> bytes:
    taken_apart = "fields" in item
    body = body_bytes(layout_named(item), item) if taken_apart else item.octets("body", b"")
    typecode, instance = item.number("type"), item.number("instance")
    if not 0 <= typecode < 1 << _BITS or not 0 <= instance < 1 << _BITS:
        raise Malformed(f"a type or instance beyond {_BITS} bits", path=item.place)
    return DESCRIPTOR.pack(typecode, instance, len(body)) + body


@cache
def _stream_layouts() -> dict[str, Layout]:
    return {layout.id: layout for layout in stream_layouts()}
