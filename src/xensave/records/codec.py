r"""Decode a record's body by its layout, and encode it again, byte for byte.

>>> from xensave.catalogue.model import Field, Layout
>>> layout = Layout("DEMO", "DEMO.1", "struct demo", 8, 4, (
...     Field("count", "uint32_t", 0, 4), Field("route", "uint8_t", 4, 4, dims=(4,))))
>>> values = decode(layout, bytes.fromhex("0500000001020304"))
>>> values
{'count': 5, 'route': b'\x01\x02\x03\x04'}
>>> values["count"] = 6
>>> encode(layout, values).hex()
'0600000001020304'
"""

from __future__ import annotations

from xensave.catalogue.model import Layout
from xensave.errors import Truncated
from xensave.records.compiled.compiler import compiled
from xensave.records.compiled.scalars import Buffer
from xensave.records.flat import element_size, first_beyond, members, reached
from xensave.records.values import Value, Values


def decode(
    layout: Layout, body: Buffer, *, zeroextend: bool = False, offset: int | None = None
) -> Values:
    """Returns the fields of a body by name, in the order of the struct.

    Arrays of 8-bit integers are bytes, other arrays lists, structs and unions dicts; the members
    of anonymous ones are their parent's. All members of a union are decoded, and a flexible
    array has as many elements as the body holds. Bytes beyond the layout are no error: `tail`
    returns them.

    `zeroextend` fills a short body with zeros, as hvm_load_entry_zeroextend() does; otherwise a
    short one raises Truncated, which names the first field that is cut. `offset` is where the
    body stands in the input, for that error.
    """
    whole = bytes(body)
    node = compiled(layout)
    if len(whole) >= layout.size:
        return Values(node.read(whole, 0), whole)
    if not zeroextend:
        raise too_short(layout, len(whole), offset)
    return Values(node.read(whole.ljust(layout.size, b"\0"), 0), whole)


def decode_reached(layout: Layout, body: Buffer) -> Values:
    """Returns the fields that begin within a body, which counts as filled with zeros.

    >>> from xensave.catalogue import layout
    >>> decode_reached(layout("VIRIDIAN_DOMAIN.1"), bytes([1]))
    {'hypercall_gpa': 1}
    """
    whole = bytes(body)
    if len(whole) >= layout.size:
        return decode(layout, whole)
    names = {field.name for field, _ in members(reached(layout.fields, len(whole)))}
    return Values(compiled(layout).read_some(whole.ljust(layout.size, b"\0"), 0, names), whole)


def encode(layout: Layout, values: dict[str, Value]) -> bytes:
    """Returns the body whose fields have these values: what `decode` read is what comes out.

    What no field covers (padding, unused bits, the tail) and fields that are left out come from
    the body that `values` were decoded from, or are zero in a plain dict. Of the members of a
    union the one that was changed is written; UsageError where two were, differently, or where a
    value does not fit its field. A body that was short stays so, unless a field beyond its end
    was set.
    """
    body = values.body if isinstance(values, Values) else bytes(layout.size)
    full = bytearray(body.ljust(layout.size, b"\0"))
    compiled(layout).write(full, 0, values, "")
    if len(body) < layout.size and not any(full[len(body) :]):
        del full[len(body) :]
    return bytes(full)


def tail(layout: Layout, body: Buffer) -> bytes:
    """Returns the bytes of a body that lie beyond its layout and the elements that fit in it."""
    end = layout.size
    last = layout.fields[-1] if layout.fields else None
    if last is not None and last.dims[:1] == (0,):
        unit = element_size(last)
        end = last.offset + max(0, len(body) - last.offset) // unit * unit
    return bytes(body[end:])


def too_short(layout: Layout, length: int, offset: int | None) -> Truncated:
    """Returns the error that a record has fewer bytes than its layout; its path is the field."""
    path = first_beyond(layout.fields, length)
    return Truncated(
        f"{layout.struct or layout.record} takes {layout.size} bytes, here are {length}",
        wanted=layout.size,
        got=length,
        offset=offset,
        record=layout.record,
        path=path or None,
    )
