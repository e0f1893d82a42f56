"""A record to be shown, whichever layer it comes from: its place, layout, values and parts."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.model import Layout
from xensave.records.codec import decode, tail
from xensave.records.values import Values

HVM = "hvm"


class Subject(NamedTuple):
    """One record: `offset` is that of its header, `length` that of its body, in the input.

    `instance` is the vCPU or device of an HVM record, None in a libxc stream. `layout` is None
    where the body has no known shape; `note` says what is known besides.
    """

    layer: str
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
    def tail(self) -> bytes:
        """The bytes beyond the layout."""
        return self.body if self.layout is None else tail(self.layout, self.body)
