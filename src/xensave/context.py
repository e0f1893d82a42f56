"""An HVM context: the save records that Xen writes of one guest, from HEADER to END.

It is what XEN_DOMCTL_gethvmcontext returns, what `xen-hvmctx` prints, and the body of the
HVM_CONTEXT record of a libxc stream. Each record is a descriptor of eight bytes (typecode and
instance of 16 bits, length of 32, little-endian) and a body; the typecode binds a struct of
xen/include/public/arch-x86/hvm/save.h.

>>> context = Context.parse(open("examples/pvh1.ctx", "rb").read(), release="4.17")
>>> hex(context["CPU", 0].integer("cr0"))
'0x80050033'
>>> stopped = context.replace("CPU", 0, rip=0x1000)
>>> stopped["CPU", 0].rip
4096
>>> len(stopped.to_bytes()) == len(context.to_bytes())
True
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from xensave import catalogue
from xensave.container.streams import hvm
from xensave.errors import LimitExceeded, Truncated, UsageError, XensaveError

if TYPE_CHECKING:
    from xensave.catalogue.model import Layout
    from xensave.records.compiled.scalars import Buffer
    from xensave.records.values import Value, Values


RECORDS_LIMIT = 1 << 14
"""So many records may a context have however short they are: 128 vCPUs have a tenth of that ..."""

RECORD_BYTES = 256
"""... and beyond them one for so many of its bytes: on average a vCPU's have 400."""


class AbsentRecord(XensaveError, KeyError):
    """A context was asked for a record that it does not hold."""


class ContextRecord:
    """One save record: `typecode`, `instance`, its `body`, and the `layout` that fits it.

    `name` is the record's name ("CPU"), or "type 22" where no release binds the number. `offset`
    is that of its descriptor in the input. `layout` is None where the number is unknown. Fields
    are attributes (`record.rip`) or paths (`record["timers[1].cmp"]`), and typed by `integer`,
    `octets`, `integers` and `structs`. A record does not change: `replace` makes another.
    """

    __slots__ = ("_layout", "_values", "body", "instance", "name", "offset", "release", "typecode")

    def __init__(
        self,
        typecode: int,
        instance: int,
        body: bytes,
        *,
        offset: int = 0,
        release: str | None = None,
    ) -> None:
        self.typecode = typecode
        self.instance = instance
        self.body = body
        self.offset = offset
        self.name = catalogue.title_of(typecode, release)
        self.release = release
        self._layout: Layout | None = None
        self._values: Values | None = None

    @property
    def length(self) -> int:
        """The length of the body in bytes, which the descriptor states."""
        return len(self.body)

    @property
    def label(self) -> str:
        """Name and instance, as errors give them: "CPU[1]"."""
        return f"{self.name}[{self.instance}]"

    @property
    def layout(self) -> Layout | None:
        """The layout that fits the record: of the release that wrote it, or by its length."""
        if self._layout is None:
            self._layout = _layout_for(self.typecode, len(self.body), self.release)
        return self._layout

    @property
    def values(self) -> Values:
        """The fields by name; a body shorter than the layout counts as filled with zeros.

        There are none where the typecode is unknown.
        """
        if self._values is None:
            from xensave.records.codec import decode
            from xensave.records.values import Values

            if self.layout is None:
                return Values({}, self.body)
            place = self.offset + hvm.DESCRIPTOR.size
            self._values = decode(self.layout, self.body, zeroextend=True, offset=place)
        return self._values

    @property
    def tail(self) -> bytes:
        """The bytes beyond the layout: of CPU_XSAVE the extended components."""
        from xensave.records.codec import tail

        return self.body if self.layout is None else tail(self.layout, self.body)

    def __getattr__(self, name: str) -> Value:
        # Copying asks an instance without slots for these: they are no fields.
        if name.startswith("__") or name in ContextRecord.__slots__:
            raise AttributeError(name)
        if name in self.values:
            return self.values[name]
        raise AttributeError(f"{self.label} has no field {name!r}")

    def __getitem__(self, path: str) -> Value:
        from xensave.records.values import get

        return get(self.values, path)

    def integer(self, path: str) -> int:
        """Returns a field that is an integer; UsageError where it is not."""
        from xensave.records.values import integer

        return integer(self.values, path)

    def octets(self, path: str) -> bytes:
        """Returns a field that is an array of bytes; UsageError where it is not."""
        from xensave.records.values import octets

        return octets(self.values, path)

    def integers(self, path: str) -> list[int]:
        """Returns a field that is an array of integers; UsageError where it is not."""
        from xensave.records.values import integers

        return integers(self.values, path)

    def structs(self, path: str) -> list[dict[str, Value]]:
        """Returns a field that is an array of structs; UsageError where it is not."""
        from xensave.records.values import structs

        return structs(self.values, path)

    def replace(self, **fields: Value) -> ContextRecord:
        """Returns this record with some fields changed and every other bit as it was.

        Raises UsageError for a record without a known layout.
        """
        if self.layout is None:
            raise UsageError(f"{self.label} has no known layout: its fields have no names")
        from xensave.records.codec import encode
        from xensave.records.values import Values

        return self.with_body(encode(self.layout, Values(fields, self.body)))

    def with_body(self, body: bytes) -> ContextRecord:
        """Returns this record with another body and the same layout."""
        other = object.__new__(ContextRecord)
        other.typecode, other.instance, other.body = self.typecode, self.instance, body
        other.name, other.offset, other.release = self.name, self.offset, self.release
        other._layout = self.layout
        other._values = None
        return other

    def to_bytes(self) -> bytes:
        """Returns descriptor and body."""
        return hvm.DESCRIPTOR.pack(self.typecode, self.instance, len(self.body)) + self.body

    def __repr__(self) -> str:
        return f"<{self.label} at {self.offset:#x}, {len(self.body)} bytes>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ContextRecord):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash((self.typecode, self.instance, self.body))


class Context:
    """The records of one HVM context in their order, END included, and what follows it.

    `release` is the Xen release that wrote it, where known: layouts are taken from there, and by
    length otherwise. Iteration yields every record.
    """

    __slots__ = ("_index", "offset", "records", "release", "tail")

    def __init__(
        self,
        records: tuple[ContextRecord, ...],
        *,
        tail: bytes = b"",
        release: str | None = None,
        offset: int = 0,
    ) -> None:
        self.records = records
        self.tail = tail
        self.release = release
        self.offset = offset
        self._index: dict[str | int, dict[int, ContextRecord]] | None = None

    @classmethod
    def parse(cls, data: Buffer, release: str | None = None, offset: int = 0) -> Context:
        """Reads a context; `offset` is where `data` stands in its input.

        Raises Truncated where a descriptor or body is cut, or END is missing: with the offset of
        that descriptor and the record; LimitExceeded for more records than RECORDS_LIMIT and one
        for RECORD_BYTES each. What the records hold is not judged here.
        """
        view = memoryview(data)
        most = RECORDS_LIMIT + len(view) // RECORD_BYTES
        records: list[ContextRecord] = []
        try:
            for typecode, instance, body, at in hvm.iterate(view):
                place = offset + at
                if len(records) == most:
                    raise LimitExceeded(
                        f"a context of more than {most:,} records in {len(view):,} bytes",
                        offset=place,
                        record="HVM context",
                    )
                records.append(
                    ContextRecord(typecode, instance, bytes(body), offset=place, release=release)
                )
        except Truncated as error:
            error.offset = offset + (error.offset or 0)
            error.record = f"HVM record {len(records)}"
            raise
        end = records[-1].offset - offset + hvm.DESCRIPTOR.size + records[-1].length
        return cls(tuple(records), tail=bytes(view[end:]), release=release, offset=offset)

    def __iter__(self) -> Iterator[ContextRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return (self.records, self.tail) == (other.records, other.tail)

    def __hash__(self) -> int:
        return hash((self.records, self.tail))

    def __contains__(self, key: object) -> bool:
        name, instance = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if isinstance(name, (str, int)) and (instance is None or isinstance(instance, int)):
            return self.get(name, instance) is not None
        return False

    def __getitem__(self, key: str | int | tuple[str | int, int]) -> ContextRecord:
        """Returns a record: context["CPU", 1], by number context[2, 1], or the first of a name."""
        name, instance = key if isinstance(key, tuple) else (key, None)
        record = self.get(name, instance)
        if record is not None:
            return record
        shown = f"type {name}" if isinstance(name, int) else name
        suffix = "" if instance is None else f"[{instance}]"
        raise AbsentRecord(f"the context holds no {shown}{suffix}", offset=self.offset)

    def get(self, name: str | int, instance: int | None = None) -> ContextRecord | None:
        """Returns a record, the first of its name where no instance is asked for, or None."""
        if self._index is None:
            self._index = _indexed(self.records)
        instances = self._index.get(name, {})
        return next(iter(instances.values()), None) if instance is None else instances.get(instance)

    def all(self, name: str | int) -> tuple[ContextRecord, ...]:
        """Returns every record of a name or typecode, in order; () where there is none."""
        return tuple(record for record in self.records if name in (record.name, record.typecode))

    @property
    def vcpus(self) -> int:
        """How many vCPUs it holds the registers of."""
        return len(self.all("CPU"))

    def replace(self, name: str | int, instance: int, **fields: Value) -> Context:
        """Returns this context with fields of one record changed."""
        old = self[name, instance]
        return self.with_records(
            tuple(r.replace(**fields) if r is old else r for r in self.records)
        )

    def with_records(self, records: tuple[ContextRecord, ...]) -> Context:
        """Returns this context with other records; what follows END is kept."""
        return Context(records, tail=self.tail, release=self.release, offset=self.offset)

    def to_bytes(self) -> bytes:
        """Returns the bytes: those that were parsed, where nothing was replaced."""
        return b"".join([*(record.to_bytes() for record in self.records), self.tail])

    def __repr__(self) -> str:
        return f"<Context of {len(self.records)} records, {self.vcpus} vCPUs>"


@lru_cache(4096)
def _layout_for(typecode: int, length: int, release: str | None) -> Layout | None:
    return catalogue.layout_for(typecode, length, release)


def _indexed(records: tuple[ContextRecord, ...]) -> dict[str | int, dict[int, ContextRecord]]:
    """Returns the first record of each instance, in order, by name and by number."""
    index: dict[str | int, dict[int, ContextRecord]] = {}
    for record in records:
        for name in (record.name, record.typecode):
            index.setdefault(name, {}).setdefault(record.instance, record)
    return index
