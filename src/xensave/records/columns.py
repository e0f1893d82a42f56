"""Many records of one shape at once: a column of values for each field, without a copy.

>>> from xensave.catalogue.model import Field, Layout
>>> layout = Layout("DEMO", "DEMO.1", "struct demo", 8, 4, (
...     Field("count", "uint32_t", 0, 4), Field("route", "uint8_t", 4, 4, dims=(4,))))
>>> found = columns(layout, [bytes([n, 0, 0, 0, 1, 2, 3, 4]) for n in range(3)])
>>> found["count"].tolist(), found["route"].shape
([0, 1, 2], (3, 4))
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from xensave.catalogue.model import Field, Layout
from xensave.errors import UsageError
from xensave.records.codec import too_short
from xensave.records.compiled.compiler import is_signed
from xensave.records.compiled.scalars import Buffer
from xensave.records.flat import element_size, leaves

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.generic]
    Rows = NDArray[np.uint8]


def columns(layout: Layout, bodies: Sequence[Buffer]) -> dict[str, Column]:
    """Returns a column for each field by its path: "rip", "channels.mode", "redirtbl.bits".

    A column's first axis is the record, the others are the dimensions of the arrays around the
    field. All bodies have one length, at least the layout's size (Truncated, UsageError). A
    flexible array has as many elements as fit.
    """
    if not bodies:
        raise UsageError("no records to make columns of")
    return place_columns(layout, rows_of(bodies), 0, len(bodies[0]))


def rows_of(bodies: Sequence[Buffer]) -> Rows:
    """Returns bodies of one length as the rows of an array of bytes; UsageError for several."""
    import numpy as np

    length = len(bodies[0])
    if any(len(body) != length for body in bodies):
        raise UsageError("columns need records of one length")
    if not length:
        return np.empty((len(bodies), 0), np.uint8)
    return np.frombuffer(b"".join(bodies), np.uint8).reshape(len(bodies), length)


def place_columns(layout: Layout, rows: Rows, start: int, length: int) -> dict[str, Column]:
    """Returns the columns of a record that stands at `start` of every row, `length` bytes long.

    Raises Truncated where the layout is longer.
    """
    if length < layout.size:
        raise too_short(layout, length, start)
    columns: dict[str, Column] = {}
    for place in leaves(layout.fields):
        if place.field.name:
            axes = _axes((*place.parents, place.field), start, start + length)
            unit = element_size(place.field)
            columns[place.path] = _column(place.field, rows, start + place.offset, unit, axes)
    return columns


def _axes(fields: tuple[Field, ...], start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Returns (count, stride) of the arrays of a field and of the structs around it.

    `fields` leads from the outermost to the field; a flexible array ends where the record does.
    """
    axes: list[tuple[int, int]] = []
    for field in fields:
        start += field.offset
        unit = element_size(field)
        counts = [count or (end - start) // unit for count in field.dims]
        strides = [unit * prod(counts[at + 1 :]) for at in range(len(counts))]
        axes += zip(counts, strides, strict=True)
    return tuple(axes)


def _column(
    field: Field, rows: Rows, at: int, unit: int, axes: tuple[tuple[int, int], ...]
) -> Column:
    import numpy as np

    octets = unit == 1 and bool(field.dims)
    kind = "i" if is_signed(field) and field.bits is None and not octets else "u"
    dtype = np.dtype(f"<{kind}{unit}" if unit in (1, 2, 4, 8) else f"V{unit}")
    shape = (rows.shape[0], *(count for count, _ in axes))
    strides = (rows.strides[0], *(stride for _, stride in axes))
    column: Column = np.ndarray(shape, dtype, buffer=rows, offset=at, strides=strides)
    if field.bits is None:
        return column
    shift, width = field.bits
    mask = np.array((1 << width) - 1, dtype)
    shifted: Column = np.bitwise_and(np.right_shift(column, np.array(shift, dtype)), mask)
    return shifted
