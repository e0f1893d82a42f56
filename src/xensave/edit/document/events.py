"""An image's headers and records as JSON objects, one an event, and back to bytes.

Everything but page contents is in the object. Contents stay in the image: the object says where,
and so does a body of more than INLINE_LIMIT bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from xensave.container.events import CONTEXT, HEADER_KIND, LIBXC, LIBXL, RECORD, TRAILER, Event
from xensave.container.framing import HEADER, HEADER_SIZE, padding_size
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import PAIR
from xensave.edit.document import emulator
from xensave.edit.document.context import context_bytes, context_json, layout_named
from xensave.edit.document.fields import body_bytes, body_json
from xensave.edit.document.headers import header_bytes, header_json
from xensave.edit.document.members import Json, Members
from xensave.edit.document.runs import runs_bytes, runs_json
from xensave.errors import Malformed, Unsupported, XensaveError
from xensave.records.stream import shown_layout

INLINE_LIMIT = 1 << 20
CONTEXT_LIMIT = 16 << 20
_FRONT_LIMIT = 64 << 20
_WORD = 1 << 32


class Slice(NamedTuple):
    """Bytes that stay in the image."""

    offset: int
    length: int


Part: TypeAlias = "bytes | Slice"
Object: TypeAlias = "dict[str, Json]"


class BodyCodec(NamedTuple):
    """How a body is taken apart and put together again; `key` is a member that only it has."""

    key: str
    take: Callable[[bytes], Object]
    give: Callable[[Members], bytes]


_CODECS = {
    (LIBXL, libxl.EMULATOR_XENSTORE_DATA): BodyCodec(
        "xenstore", emulator.xenstore_json, emulator.xenstore_bytes
    ),
    (LIBXL, libxl.EMULATOR_CONTEXT): BodyCodec(
        "sections", emulator.state_json, emulator.state_bytes
    ),
}


def refuse_made(event: Event) -> None:
    """Raises Unsupported for an event that stands for a legacy stream's bytes."""
    if event.made:
        raise Unsupported(
            "a legacy stream has no records of its own: convert it first, with xensave convert",
            offset=event.offset,
        )


def event_json(event: Event, release: str | None) -> Object:
    """Returns an event as an object; `release` names the layouts of the HVM context."""
    result: Object = {"layer": event.layer, "kind": event.kind, "name": event.name}
    if event.kind == HEADER_KIND:
        result.update(header_json(event))
        return result if "config" in result else {**result, **_rest_json(event)}
    if event.kind == CONTEXT:
        return {**result, **context_json(bytes(event.body()), release, event.body_offset)}
    if event.kind == TRAILER:
        return {**result, **_slice_json(event)}
    if len(event.raw) == HEADER_SIZE and event.layer in (LIBXL, LIBXC):
        result["type"] = event.type
    else:
        result["header"] = bytes(event.raw).hex()
    result.update(_body_json(event, release))
    if event.pad_length and (padding := event.padding()) != bytes(event.pad_length):
        result["padding"] = padding.hex()
    return result


def event_parts(item: Members) -> Iterator[Part]:
    """Yields what an object stands for. Raises Malformed, naming the member."""
    kind = item.text("kind")
    if kind == HEADER_KIND:
        yield header_bytes(item)
        if "image" in item:
            yield _slice(item)
    elif kind == CONTEXT:
        yield context_bytes(item)
    elif kind == TRAILER:
        yield _slice(item)
    elif kind == RECORD:
        yield from _record_parts(item)
    else:
        raise Malformed(f"{kind!r} is no kind of event", path=item.place)


def _body_json(event: Event, release: str | None) -> Object:
    if event.is_record(LIBXC, libxc.PAGE_DATA):
        return _pages_json(event)
    if event.is_record(LIBXC, libxc.HVM_CONTEXT) and event.length <= CONTEXT_LIMIT:
        return context_json(bytes(event.body()), release, event.body_offset)
    layout = shown_layout(event.name, event.length) if event.layer == LIBXC else None
    if layout is not None and 0 < event.length <= INLINE_LIMIT:
        return body_json(layout, bytes(event.body()))
    codec = _CODECS.get((event.layer, event.type))
    if codec is not None and event.length <= INLINE_LIMIT:
        return _taken(codec, bytes(event.body()))
    return _rest_json(event)


def _rest_json(event: Event) -> Object:
    """Returns a body that is not taken apart: its bytes, or where they are."""
    if event.length > INLINE_LIMIT:
        return _slice_json(event)
    return {"body": bytes(event.body()).hex()} if event.length else {}


def _taken(codec: BodyCodec, body: bytes) -> Object:
    """Returns a body taken apart, if that gives the same bytes again."""
    try:
        result = codec.take(body)
        whole = codec.give(Members(result, ""))
    except XensaveError:
        return {"body": body.hex()}
    return result if whole == body else {"body": body.hex()}


def _record_parts(item: Members) -> Iterator[Part]:
    parts = list(_body_parts(item))
    if "header" in item:
        yield item.octets("header")
        yield from parts
        return
    length = sum(part.length if isinstance(part, Slice) else len(part) for part in parts)
    type_ = item.number("type")
    if not 0 <= type_ < _WORD or length >= _WORD:
        raise Malformed("a type or length beyond 32 bits", path=item.place)
    yield HEADER.pack(type_, length)
    yield from parts
    yield item.octets("padding", bytes(padding_size(length)))


def _body_parts(item: Members) -> Iterator[Part]:
    if "pages" in item:
        pages = item.members("pages")
        entries = runs_bytes(pages.objects("runs"))
        yield PAIR.pack(len(entries) // 8, pages.number("reserved", 0)) + entries
    codecs = [codec for codec in _CODECS.values() if codec.key in item]
    if "image" in item:
        yield _slice(item)
    elif "records" in item:
        yield context_bytes(item)
    elif "fields" in item:
        yield body_bytes(layout_named(item), item)
    elif codecs:
        yield codecs[0].give(item)
    elif "body" in item:
        yield item.octets("body")


def _pages_json(event: Event) -> Object:
    """Returns a PAGE_DATA record: its frames as runs, and where the contents are."""
    count = int.from_bytes(event.prefix(4), "little") if event.length >= PAIR.size else 0
    front = PAIR.size + 8 * count
    if not PAIR.size <= front <= min(event.length, _FRONT_LIMIT):
        return _slice_json(event)
    head = bytes(event.prefix(front))
    pages: Object = {"runs": runs_json(head[PAIR.size :])}
    reserved = PAIR.unpack_from(head)[1]
    if reserved:
        pages["reserved"] = reserved
    result: Object = {"pages": pages}
    if event.length > front:
        result["image"] = {"offset": event.body_offset + front, "length": event.length - front}
    return result


def _slice_json(event: Event) -> Object:
    return {"image": {"offset": event.body_offset, "length": event.length}}


def _slice(item: Members) -> Slice:
    place = item.members("image")
    result = Slice(place.number("offset"), place.number("length"))
    if result.offset < 0 or result.length < 0:
        raise Malformed("an offset or length below 0", path=place.place)
    return result
