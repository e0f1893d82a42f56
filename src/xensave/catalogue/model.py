"""The shapes of the catalogue: fields, layouts, bindings, reservations and releases.

These are plain values without behaviour. `xensave.catalogue` loads them from the data files,
`xensave.headers` makes them from C headers and hypervisor binaries; `xensave.records` decodes
bytes by them, the engine and the rules read them. Sizes and offsets are in bytes.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue.owned import Citation as Citation  # noqa: PLC0414 - re-exported
from xensave.catalogue.owned import OwnedRange
from xensave.catalogue.owned import RecordKind as RecordKind  # noqa: PLC0414 - re-exported

LoadMode: TypeAlias = Literal["exact", "zeroextend", "own"]
EXACT: Final = "exact"
ZEROEXTEND: Final = "zeroextend"
OWN: Final = "own"

PER_DOMAIN: Final = "domain"
PER_VCPU: Final = "vcpu"


class Cite(NamedTuple):
    """Where Xen has a rule: the function, and the commit that made it so where one did.

    >>> print(Cite("lapic_check_hidden", "9b6a3ae", "x86/vlapic: ...", "4.20"))
    lapic_check_hidden(), 9b6a3ae "x86/vlapic: ..." (4.20)
    """

    function: str
    commit: str = ""
    subject: str = ""
    release: str = ""

    @property
    def citation(self) -> Citation:
        """The commit alone."""
        return Citation(self.commit, self.subject, self.release)

    def __str__(self) -> str:
        text = f"{self.function}()"
        if self.commit:
            text += f', {self.commit} "{self.subject}"'
        return f"{text} ({self.release})" if self.release else text


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
    fields: "tuple[Field, ...]" = ()
    union: bool = False


class Shape(NamedTuple):
    """A struct as another ABI lays it out."""

    size: int
    align: int
    fields: tuple[Field, ...]


class Layout(NamedTuple):
    """One version of a record's struct: `record` its name, `id` unique ("CPU.3").

    `size` is sizeof on x86-64. `flexible` says that data may follow the struct. `compat` is true
    for a struct bound only by the _COMPAT form. `x86_32` is the struct on 32-bit x86 where its
    size, alignment or fields differ there; only the x86-64 form is ever on the wire.
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
    x86_32: Shape | None = None

    def shape(self, bits: int = 64) -> Shape:
        """Returns it as an ABI lays it out: 64 for x86-64, 32 for 32-bit x86."""
        if bits == 32 and self.x86_32 is not None:
            return self.x86_32
        return Shape(self.size, self.align, self.fields)


class Binding(NamedTuple):
    """A record of one release: its name, number, layout id and how that release loads it.

    `load` is EXACT (any other length is refused), ZEROEXTEND (shorter ones are zero-filled) or
    OWN (the handler checks its own length). `kind` is PER_DOMAIN or PER_VCPU. `compat` is the id
    of the older layout that the release converts on load, if any. `handler` names the load
    function in Xen, "" for HEADER and END, which no handler loads; `save` and `check` name the
    other two, "" where there is none, and `file` where they are registered. `instances` is how
    many records a domain (or vCPU) saves at most, 0 where the save handler computes its size.
    """

    name: str
    typecode: int
    layout: str
    size: int
    kind: RecordKind
    load: LoadMode
    compat: str | None = None
    handler: str = ""
    save: str = ""
    check: str = ""
    instances: int = 1
    file: str = ""


class Variant(NamedTuple):
    """Point releases of a series that differ from its first one.

    `refs` are their tags; `bindings` the records that they bind otherwise, or alone; `absent` the
    names of those that they lack; the numbers are their own.
    """

    refs: tuple[str, ...]
    code_max: int
    entry_size: int
    check_pass: bool
    bindings: tuple[Binding, ...] = ()
    absent: tuple[str, ...] = ()


class Release(NamedTuple):
    """The number space of one release series, as its first release (4.17.0) has it.

    What a series' first release restores, its point releases restore too; those that differ from
    it are its `variants`.

    `table_entries` x `entry_size` bytes is the handler table; `check_pass` says whether incoming
    state is checked in a pass of its own before any load (4.19 on). The toolstack writes libxc
    streams of version `stream_write` and reads those of `stream_read`; 0 and () are the legacy
    stream, which has no version (up to 4.5).
    """

    name: str
    ref: str
    commit: str
    code_max: int
    entry_size: int
    check_pass: bool
    bindings: tuple[Binding, ...]
    reservations: tuple[OwnedRange, ...]
    stream_write: int = 0
    stream_read: tuple[int, ...] = ()
    variants: tuple[Variant, ...] = ()

    @property
    def table_entries(self) -> int:
        """How many entries the handler table has: one per number from 0 to the maximum."""
        return self.code_max + 1

    def binding(self, key: str | int) -> Binding | None:
        """Returns the binding of a record, by name or number, or None."""
        for binding in self.bindings:
            if key in (binding.name, binding.typecode):
                return binding
        return None


class Number(NamedTuple):
    """A number of another space: its name, its macro, the first and last release that has it."""

    number: int
    name: str
    macro: str
    first: str
    last: str


class Space(NamedTuple):
    """Another numbered ABI of the public headers: HVM params, hypercalls, stream records.

    `numbers` are in order, the names of one number from the oldest to the newest. `limits` holds,
    by release, the first number that is not allowed (HVM_NR_PARAMS), where one is stated;
    `versions` the interface's version, where numbers may change with it (domctl, sysctl).
    `retired` are numbers and names that no release defines any more but in a comment.
    """

    name: str
    title: str
    numbers: tuple[Number, ...]
    limits: tuple[tuple[str, int], ...] = ()
    versions: tuple[tuple[str, int], ...] = ()
    retired: tuple[tuple[int, str], ...] = ()

    def name_of(self, number: int) -> str | None:
        """Returns the name that a number has, or had last; None where it never had one."""
        return next((each.name for each in reversed(self.numbers) if each.number == number), None)

    def number_of(self, name: str) -> int | None:
        """Returns the number of a name, or None."""
        return next((each.number for each in reversed(self.numbers) if each.name == name), None)
