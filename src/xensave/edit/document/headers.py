"""Headers of the layers as JSON objects, and back; that of xl comes with the configuration."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import TypeAlias

from xensave.container.events import LIBXC, LIBXL, XL, Event
from xensave.container.frames.xl import OptionalData, XlHeader
from xensave.container.streams import libxc, libxl
from xensave.edit.document.config import Style, config_bytes, style_of
from xensave.edit.document.members import Json, Members, as_number
from xensave.errors import Malformed, XensaveError

Object: TypeAlias = "dict[str, Json]"
AnyHeader: TypeAlias = "XlHeader | libxl.LibxlHeader | libxc.ImageHeader | libxc.DomainHeader"

_XL_HEADER = f"{XL} header"
_MAKERS: dict[str, Callable[..., AnyHeader]] = {
    _XL_HEADER: XlHeader,
    f"{LIBXL} header": libxl.LibxlHeader,
    f"{LIBXC} image header": libxc.ImageHeader,
    f"{LIBXC} domain header": libxc.DomainHeader,
}


def header_json(event: Event) -> Object:
    """Returns a header: its fields by name where xensave can make it of them, else its bytes."""
    as_dict: Callable[[], dict[str, object]] | None = getattr(event.header, "_asdict", None)
    if event.label not in _MAKERS or as_dict is None:
        return {"header": bytes(event.raw).hex()}
    fields: Object = {name: _plain(value) for name, value in as_dict().items()}
    if event.label == _XL_HEADER:
        del fields["optional_length"]
        return {"fields": fields, **_optional_json(bytes(event.body()))}
    return {"fields": fields}


def header_bytes(item: Members) -> bytes:
    """Returns a header's bytes, and the configuration behind that of xl.

    Raises Malformed, naming the member.
    """
    body = b""
    if "config" in item:
        style = item.text("style")
        if style not in list(Style):
            raise Malformed(f"{style!r} is no style", path=f"{item.place}.style")
        config = config_bytes(item.get("config"), Style(style))
        body = OptionalData(config, item.octets("tail", b"")).to_bytes()
    elif "body" in item:
        body = item.octets("body")
    if "fields" not in item:
        return item.octets("header") + body
    label = f"{item.text('layer')} {item.text('name')}"
    return _packed(label, item.members("fields"), len(body)) + body


def _plain(value: object) -> Json:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int) else str(value)


def _optional_json(data: bytes) -> Object:
    """Returns the configuration: as JSON if libxl would write it so, else as its bytes."""
    try:
        optional = OptionalData.parse(data)
        values: Json = json.loads(optional.text)
        style = style_of(optional.text)
        if OptionalData(config_bytes(values, style), optional.tail).to_bytes() != data:
            return {"body": data.hex()}
    except (XensaveError, ValueError, RecursionError):
        return {"body": data.hex()}
    result: Object = {"config": values, "style": style.value}
    if optional.tail:
        result["tail"] = optional.tail.hex()
    return result


def _packed(label: str, fields: Members, length: int) -> bytes:
    make = _MAKERS.get(label)
    if make is None:
        raise Malformed(f"there is no header {label!r}", path=fields.place)
    values: dict[str, int | tuple[int, ...]] = {}
    for name, value in fields.items():
        place = f"{fields.place}.{name}"
        if isinstance(value, list):
            values[name] = tuple(as_number(item, place) for item in value)
        else:
            values[name] = as_number(value, place)
    if label == _XL_HEADER:
        values["optional_length"] = length
    try:
        return make(**values).to_bytes()
    except (struct.error, TypeError) as error:
        raise Malformed(f"no {label}: {error}", path=fields.place) from error
