"""A record to be shown, whichever layer it comes from: its place, layout, values and parts."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.model import Field, Layout
from xensave.container.events import LayerName
from xensave.records.codec import decode, tail
from xensave.records.flat import reached
from xensave.records.values import Values

_CACHE_LIMIT = 4096
_cut: dict[tuple[int, int], tuple[Layout, Layout]] = {}


class Subject(NamedTuple):
    """One record: `offset` is that of its header, `length` that of its body, in the input.

    `instance` is the vCPU or device of an HVM record, None in a libxc stream. `layout` is None
    where the body has no known shape; `note` says what is known besides.
    """

    layer: LayerName
    name: str
    typecode: int
    instance: int | None
    offset: int
    length: int
    layout: Layout | None
    body: bytes
    note: str = ""

    @property
    def label(self) -> str:
        """Name and instance: "CPU[1]", "HVM_PARAMS"."""
        return self.name if self.instance is None else f"{self.name}[{self.instance}]"

    @property
    def values(self) -> Values:
        """The fields; none without a layout. A short body counts as filled with zeros."""
        if self.layout is None:
            return Values({}, self.body)
        return decode(self.layout, self.body, zeroextend=True, offset=self.offset)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The layout's fields that the body reaches: those beyond a short one count as zero."""
        return () if self.layout is None else _reached(self.layout, len(self.body)).fields

    @property
    def reached(self) -> Values:
        """The values of `fields`."""
        if self.layout is None:
            return Values({}, self.body)
        layout = _reached(self.layout, len(self.body))
        return decode(layout, self.body, zeroextend=True, offset=self.offset)

    @property
    def tail(self) -> bytes:
        """The bytes beyond the layout."""
        return self.body if self.layout is None else tail(self.layout, self.body)


def _reached(layout: Layout, length: int) -> Layout:
    """Returns a layout with those of its fields that a body reaches: the same one each time."""
    if length >= layout.size:
        return layout
    fields = reached(layout.fields, length)
    entry = _cut.get((id(layout), len(fields)))
    if entry is not None and entry[0] is layout:
        return entry[1]
    if len(_cut) >= _CACHE_LIMIT:
        _cut.clear()
    short = layout._replace(fields=fields)
    _cut[id(layout), len(fields)] = layout, short
    return short
