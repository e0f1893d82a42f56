"""What public headers say of the number space: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from xensave.catalogue.model import Layout
from xensave.catalogue.owned import OwnedRange
from xensave.findings import Place

DECLARE = "declare"
COMPAT = "compat"
DEFINE = "define"


@dataclass(frozen=True, slots=True)
class HeaderRecord:
    """A record as a header binds it: name, number and struct, for both x86 ABIs.

    `form` is DECLARE (DECLARE_HVM_SAVE_TYPE), COMPAT (its _COMPAT form) or DEFINE (a bare
    `#define X_CODE n`, which names no struct: `layout` is then that of the struct named after
    the record, or None). `x86_32` is the same struct as a 32-bit x86 compiler lays it out.
    """

    name: str
    code: int
    form: str
    place: Place
    layout: Layout | None
    x86_32: Layout | None
    compat: Layout | None = None
    compat_x86_32: Layout | None = None


@dataclass(frozen=True, slots=True)
class HeaderSpace:
    """The number space that a set of public headers states.

    `code_max` is HVM_SAVE_CODE_MAX, None where the headers lack it. Records are by number.
    """

    source: str
    records: tuple[HeaderRecord, ...]
    code_max: int | None
    code_max_place: Place | None
    reservations: tuple[OwnedRange, ...]

    def record(self, name: str) -> HeaderRecord | None:
        """Return the record of that name, if the headers have it."""
        return next((record for record in self.records if record.name == name), None)
