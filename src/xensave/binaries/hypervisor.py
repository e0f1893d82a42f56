"""The save records that a hypervisor registers, read from its xen-syms alone.

Each record is registered when Xen starts, by an initcall that passes its number, name, size and
kind to hvm_register_savevm (xen/arch/x86/hvm/save.c; xen/common/hvm/save.c in older releases),
which fills one entry of hvm_sr_handlers. The reader follows each function that refers to either,
and takes what reaches the table: it makes no difference how a compiler arranged the calls.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from xensave.catalogue.model import PER_DOMAIN, PER_VCPU, RecordKind
from xensave.errors import Malformed, MissingExtra

if TYPE_CHECKING:
    from xensave.binaries.elf import Binary
    from xensave.binaries.table import Entry
    from xensave.binaries.trace import Tracer

TABLE = "hvm_sr_handlers"
REGISTER = "hvm_register_savevm"
INIT_ENTRY = "_hvm_init_entry"
DESCRIPTOR = 8
MAX_SIZE = 256 << 20
# A compiler may make variants of a function for constant arguments, each a symbol.
_MOST_CLONES = 64
_KINDS: dict[int, RecordKind] = {0: PER_DOMAIN, 1: PER_VCPU}


class RegisteredRecord(NamedTuple):
    """A record as a hypervisor registers it.

    `registered` is the bytes registered per domain or vCPU: for every instance a descriptor and a
    body; None where Xen works it out at boot (CPU_XSAVE), and `fixed` is then the part of a body
    that the code states. `size` is the bytes of one body as the save handler writes it, None
    where that cannot be told. Handlers are by name, "" where the binary has none.
    """

    name: str
    typecode: int
    kind: RecordKind
    size: int | None
    registered: int | None
    fixed: int
    save: str
    load: str
    check: str = ""

    @property
    def instances(self) -> int | None:
        """How many instances fit what is registered: PIC registers 2 for a domain."""
        if self.size is None or self.registered is None:
            return None
        return self.registered // (self.size + DESCRIPTOR)


class HypervisorSpace(NamedTuple):
    """The number space of a hypervisor binary: its records by number, and its handler table.

    `version` is what it calls itself ("4.17.7+13-g2445b30a44"), "" where that cannot be read.
    `incomplete` names functions that were too long to follow to their end.
    """

    source: str
    version: str
    records: tuple[RegisteredRecord, ...]
    table_entries: int
    entry_size: int
    incomplete: tuple[str, ...] = ()

    @property
    def code_max(self) -> int:
        """HVM_SAVE_CODE_MAX, by the table's length."""
        return self.table_entries - 1


def read_hypervisor(path: str | os.PathLike[str]) -> HypervisorSpace:
    """Reads the records that an xen-syms file registers.

    A compressed file is read too. Raises SourceError where the file cannot be read, LimitExceeded
    where it is larger than MAX_SIZE, Unsupported for one that is no linked x86-64
    ELF file, Malformed for one that is damaged, has no symbols or registers no record.
    """
    from xensave.source.base import read_all
    from xensave.source.opening import open_source

    with open_source(path) as source:
        data = read_all(source, MAX_SIZE)
    return hypervisor_space(data, os.fspath(path))


def hypervisor_space(data: bytes, label: str = "xen-syms") -> HypervisorSpace:
    """Reads the records that the bytes of an xen-syms file register.

    Raises Malformed for one without a handler table, or with too many clones of a function.
    """
    _need_libraries()
    from xensave.binaries.elf import Binary
    from xensave.binaries.scan import referring
    from xensave.binaries.table import entries
    from xensave.binaries.trace import Tracer

    binary = Binary(data)
    table = binary.symbol(TABLE)
    if table is None or not table.size:
        raise Malformed(f"no symbol {TABLE}: not a Xen with HVM support, or stripped of it")
    register = [
        symbol.address
        for name in binary.symbols
        if name.split(".")[0] == REGISTER
        for symbol in binary.symbols[name]
    ]
    if len(register) > _MOST_CLONES:
        raise Malformed(f"{len(register)} functions are called {REGISTER}")
    ranges = [(address, address + 1) for address in register]
    ranges.append((table.address, table.address + table.size))
    tracer = Tracer(binary, follow=register)
    starts = [start for start in referring(binary, ranges) if start not in register]
    traces = {start: tracer.trace(start) for start in starts}
    shape, handlers = entries(binary, table, (s for t in traces.values() for s in t.stores))
    sizes = _Sizes(binary, tracer)
    return HypervisorSpace(
        source=label,
        version=_version(binary, tracer),
        records=tuple(
            _record(binary, sizes, typecode, entry) for typecode, entry in handlers.items()
        ),
        table_entries=table.size // shape.size,
        entry_size=shape.size,
        incomplete=tuple(binary.name_at(s) for s, trace in traces.items() if not trace.complete),
    )


def _need_libraries() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("elftools", "capstone") if find_spec(name) is None]
    if missing:
        raise MissingExtra("reading binaries", " and ".join(missing), "binaries")


def _record(binary: Binary, sizes: _Sizes, typecode: int, entry: Entry) -> RegisteredRecord:
    name = _constant(entry, "name")
    text = None if name is None else binary.string(name)
    if not text:
        raise Malformed(f"number {typecode} is registered under no name that can be read")
    kind = _constant(entry, "kind")
    if kind not in _KINDS:
        raise Malformed("registered neither per domain nor per vCPU", record=text)
    save = _constant(entry, "save") or 0
    registered = _constant(entry, "size")
    size = entry.get("size")
    return RegisteredRecord(
        name=text,
        typecode=typecode,
        kind=_KINDS[kind],
        size=sizes.written(save, typecode),
        registered=registered,
        fixed=max(0, size.const - DESCRIPTOR) if size else 0,
        save=binary.name_at(save),
        load=binary.name_at(_constant(entry, "load") or 0),
        check=binary.name_at(_constant(entry, "check") or 0),
    )


def _constant(entry: Entry, field: str) -> int | None:
    value = entry.get(field)
    return value.const if value and value.known else None


class _Sizes:
    """Body sizes, by what each save handler passes to _hvm_init_entry."""

    def __init__(self, binary: Binary, tracer: Tracer) -> None:
        self._tracer = tracer
        self._init = {symbol.address for symbol in binary.symbols.get(INIT_ENTRY, [])}

    def written(self, handler: int, typecode: int) -> int | None:
        """Returns the length that the handler announces for a number.

        None unless it is one constant.
        """
        if not self._init or not handler:
            return None
        lengths = {
            call.arguments[3]
            for call in self._tracer.trace(handler).calls
            if call.target in self._init and call.arguments[1].const == typecode
        }
        length = lengths.pop() if len(lengths) == 1 else None
        return length.const & 0xFFFFFFFF if length and length.known else None


def _version(binary: Binary, tracer: Tracer) -> str:
    parts = []
    for name in ("xen_major_version", "xen_minor_version", "xen_extra_version"):
        symbol = binary.symbol(name)
        results = tracer.trace(symbol.address).results if symbol else []
        if len(results) != 1 or not results[0].known:
            return ""
        parts.append(results[0].const)
    extra = binary.string(parts[2])
    return f"{parts[0]}.{parts[1]}{extra or ''}"
