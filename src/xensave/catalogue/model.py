"""The shapes of the catalogue: fields, layouts, bindings, reservations and releases.

These are plain values without behaviour. `xensave.catalogue` loads them from the data files,
`xensave.headers` makes them from C headers and hypervisor binaries; `xensave.records` decodes
bytes by them, the engine and the rules read them. Sizes and offsets are in bytes.
"""

from __future__ import annotations

from typing import NamedTuple

SCHEMA = 1

EXACT = "exact"
ZEROEXTEND = "zeroextend"
OWN = "own"

PER_DOMAIN = "domain"
PER_VCPU = "vcpu"


class Citation(NamedTuple):
    """A commit of Xen's history: abbreviated hash, subject line, first release that has it."""

    commit: str
    subject: str
    release: str


class Field(NamedTuple):
    """A member of a record's struct.

    `offset` is from the start of the enclosing struct or union; `size` covers the whole member
    (all array elements). `dims` holds the array dimensions, outermost first: () for a scalar,
    (0,) for a flexible array. `bits` is (shift, width) within the little-endian integer of
    `size` bytes at `offset`. `fields` are the members of a struct or union type, and describe
    one element where the member is an array; `union` says that they overlap. An anonymous
    member has the name "".
    """

    name: str
    type: str
    offset: int
    size: int
    dims: tuple[int, ...] = ()
    bits: tuple[int, int] | None = None
    fields: tuple[Field, ...] = ()
    union: bool = False


class Layout(NamedTuple):
    """One version of a record's struct: `record` its name, `id` unique ("CPU.3").

    `size` is sizeof on x86-64. `compat` is true for a struct bound only by the _COMPAT form.
    """

    record: str
    id: str
    struct: str
    size: int
    align: int
    fields: tuple[Field, ...]
    introduced: Citation | None = None
    releases: tuple[str, ...] = ()
    flexible: bool = False
    compat: bool = False


class Binding(NamedTuple):
    """A record of one release: its name, number, layout id and how that release loads it.

    `load` is EXACT (any other length is refused), ZEROEXTEND (shorter ones are zero-filled) or
    OWN (the handler checks its own length). `kind` is PER_DOMAIN or PER_VCPU. `compat` is the id
    of the older layout that the release converts on load, if any. `handler` names the load
    function in Xen, "" for HEADER and END, which no handler loads.
    """

    name: str
    code: int
    layout: str
    size: int
    kind: str
    load: str
    compat: str | None = None
    handler: str = ""


class Reservation(NamedTuple):
    """A range of numbers kept for an owner; `source` says by what (a comment, a registry)."""

    first: int
    last: int
    owner: str
    source: str
    citation: Citation | None = None


class Release(NamedTuple):
    """The number space of one release.

    `table_entries` x `entry_size` bytes is the handler table; `check_pass` says whether incoming
    state is checked in a pass of its own before any load (4.19 on).
    """

    name: str
    ref: str
    commit: str
    code_max: int
    entry_size: int
    check_pass: bool
    bindings: tuple[Binding, ...]
    reservations: tuple[Reservation, ...]

    @property
    def table_entries(self) -> int:
        """How many entries the handler table has: one per number from 0 to the maximum."""
        return self.code_max + 1
