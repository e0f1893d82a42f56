"""What public headers say of the number space: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeAlias

from xensave.catalogue.model import Layout
from xensave.catalogue.owned import OwnedRange
from xensave.findings import Place

RecordForm: TypeAlias = Literal["declare", "compat", "define"]
DECLARE: Final = "declare"
COMPAT: Final = "compat"
DEFINE: Final = "define"


@dataclass(frozen=True, slots=True)
class HeaderRecord:
    """A record as a header binds it: name, number and struct, for both x86 ABIs.

    `form` is DECLARE (DECLARE_HVM_SAVE_TYPE), COMPAT (its _COMPAT form) or DEFINE (a bare
    `#define X_CODE n`, which names no struct: `layout` is then that of the struct named after
    the record, or None). `x86_32` is the same struct as a 32-bit x86 compiler lays it out; `xen`
    and `tools` as the hypervisor and its tools see it (__XEN__, __XEN_TOOLS__) where that differs,
    `chosen` as who defines every macro that the headers leave to choose (CONFIG_X) does. `only`
    says who sees the record at all where not everyone does. `types` holds the canonical type of
    each field by its path.
    """

    name: str
    typecode: int
    form: RecordForm
    place: Place
    layout: Layout | None
    x86_32: Layout | None
    compat: Layout | None = None
    compat_x86_32: Layout | None = None
    xen: Layout | None = None
    tools: Layout | None = None
    chosen: Layout | None = None
    only: str = ""
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def wire(self) -> Layout | None:
        """The layout that is saved: the hypervisor's."""
        return self.xen or self.layout


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every record: the descriptor, and the header's magic and version.

    `constants` holds the two by their macro's name, with where they are defined.
    """

    descriptor: Layout | None = None
    place: Place | None = None
    constants: Mapping[str, tuple[int, Place]] = field(default_factory=dict)


@dataclass(frozen=True)
class HeaderSpace:
    """The number space that a set of public headers states.

    `code_max` is HVM_SAVE_CODE_MAX, None where the headers lack it; of several the largest. Records
    are by number. `files` are the paths of all headers that were compiled, `choices` the macros
    that these ask for and that no header defines.
    """

    source: str
    records: tuple[HeaderRecord, ...]
    code_max: int | None
    code_max_place: Place | None
    reservations: tuple[OwnedRange, ...]
    frame: Frame = Frame()
    files: frozenset[str] = frozenset()
    choices: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, HeaderRecord]:
        """The records by their names; the first of two with one name."""
        return {record.name: record for record in reversed(self.records)}

    def record(self, name: str) -> HeaderRecord | None:
        """Returns the record of that name, if the headers have it."""
        return self.by_name.get(name)
