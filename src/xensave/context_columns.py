"""Many HVM contexts at once: for each shape that occurs, a column of values for each field.

A shape is the sequence of descriptors up to END: contexts of guests that were saved by one
release with the same number of vCPUs share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from xensave import catalogue
from xensave.container.streams import hvm
from xensave.records.columns import place_columns, rows_of
from xensave.records.compiled.scalars import Buffer

if TYPE_CHECKING:
    from xensave.records.columns import Column, Rows


class Descriptor(NamedTuple):
    """A record of a shape: where its descriptor stands, and what it states."""

    offset: int
    typecode: int
    instance: int
    length: int


class ShapeColumns(NamedTuple):
    """The contexts of one shape: their indices in the input, the shape, and the columns.

    A column's name is record, instance and path: "CPU[0].rip"; its first axis is the context.
    """

    indices: list[int]
    shape: tuple[Descriptor, ...]
    columns: dict[str, Column]


def context_columns(contexts: Sequence[Buffer], release: str | None = None) -> list[ShapeColumns]:
    """Decodes contexts into columns, grouped by shape, in the order of first occurrence.

    Records of unknown typecode, and those shorter than their layout, have no column; of two
    records with the same name and instance the later counts. Raises Truncated for a context
    that is cut or has no END.
    """
    by_shape = [
        ShapeColumns(indices, shape, _columns(rows, shape, release))
        for alike in _by_length(contexts)
        for indices, shape, rows in _by_shape(contexts, alike)
    ]
    return sorted(by_shape, key=lambda group: group.indices[0])


def _by_length(contexts: Sequence[Buffer]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for index, context in enumerate(contexts):
        groups.setdefault(len(context), []).append(index)
    return list(groups.values())


def _by_shape(
    contexts: Sequence[Buffer], alike: list[int]
) -> Iterator[tuple[list[int], tuple[Descriptor, ...], Rows]]:
    """Groups contexts of one length: those like the first at once, the others one by one."""
    first = shape_of(contexts[alike[0]])
    rows = rows_of([contexts[index] for index in alike])
    same = _with_shape(rows, first)
    if same.all():
        yield alike, first, rows
        return
    fits = same.tolist()
    yield [index for index, fit in zip(alike, fits, strict=True) if fit], first, rows[same]
    others: dict[tuple[Descriptor, ...], list[int]] = {}
    for index, fit in zip(alike, fits, strict=True):
        if not fit:
            others.setdefault(shape_of(contexts[index]), []).append(index)
    for shape, indices in others.items():
        yield indices, shape, rows_of([contexts[index] for index in indices])


def shape_of(context: Buffer) -> tuple[Descriptor, ...]:
    """Returns the descriptors of a context, END included; Truncated where it is cut."""
    return tuple(
        Descriptor(entry.offset, entry.typecode, entry.instance, len(entry.body))
        for entry in hvm.iterate(memoryview(context))
    )


def _with_shape(rows: Rows, shape: tuple[Descriptor, ...]) -> Rows:
    import numpy as np

    first = rows[0]
    places = np.concatenate([np.arange(d.offset, d.offset + hvm.DESCRIPTOR.size) for d in shape])
    same: Rows = (rows[:, places] == first[places]).all(axis=1)
    return same


def _columns(rows: Rows, shape: tuple[Descriptor, ...], release: str | None) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for offset, typecode, instance, length in shape:
        layout = catalogue.layout_for(typecode, length, release)
        if layout is None or length < layout.size:
            continue
        name = catalogue.title_of(typecode, release)
        placed = place_columns(layout, rows, offset + hvm.DESCRIPTOR.size, length)
        columns.update((f"{name}[{instance}].{path}", column) for path, column in placed.items())
    return columns
