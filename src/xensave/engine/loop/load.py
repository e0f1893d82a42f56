"""hvm_load(): the walk over the descriptors, its check pass from 4.19 on, and what it answers."""

import struct
from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.model import Cite
from xensave.container.streams import hvm
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import Handler, Handlers, Tests
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.reader import SIZE, ContextCursor, Mismatch
from xensave.engine.loop.rule import Refusal, Undecided
from xensave.engine.state import DomainState
from xensave.engine.verdict import Accepted, Depends, Refused, Verdict

RECORDS_LIMIT = 1 << 16
"""So many records of a context are judged. A guest has at most 128 vCPUs, of 9 records each."""

_HEADER_END = SIZE + hvm.HEADER_SIZE
_PLAIN_HEADER = hvm.DESCRIPTOR.pack(hvm.HEADER_TYPECODE, 0, hvm.HEADER_SIZE) + struct.pack(
    "<II", hvm.HEADER_MAGIC, hvm.HEADER_VERSION
)
"""What a header begins with of which there is nothing to be said."""

_LOAD = Cite("hvm_load")
_HEADER = Cite("arch_hvm_load")

ERRNO_KEPT = Dated(
    "LOAD_ERRNO",
    "",
    "a refusal has its handler's errno; before, hvm_load() answered -1 to all: EPERM",
    Cite(
        "hvm_load",
        "96e5ad4c47",
        "x86/hvm: Propagate real error information up through hvm_load()",
        "4.16",
    ),
    ("4.13.4", "4.14.3", "4.15.1", "4.16.0"),
)
LENGTH_FIRST = Dated(
    "ENTRY_ROOM",
    "",
    "a record needs room for the bytes that it claims; before, for its full struct",
    Cite(
        "_hvm_check_entry",
        "66d0c0aa1f",
        "hvm/load: correct length checks for zeroextended records",
        "4.5",
    ),
    ("4.3.4", "4.4.2", "4.5.0"),
)
CHECK_PASS = Dated(
    "LOAD_CHECK_PASS",
    "",
    "the whole context is checked before any record is loaded",
    Cite(
        "hvm_load", "5b6cab423c", "x86/HVM: split restore state checking from state loading", "4.19"
    ),
    ("4.19",),
)
DATED = (ERRNO_KEPT, LENGTH_FIRST, CHECK_PASS)


class LoopRules(NamedTuple):
    """What of the loop itself differs between releases."""

    errno_kept: bool
    whole_first: bool
    check_pass: bool

    @classmethod
    def of(cls, version: Version, *, check_pass: bool) -> "LoopRules":
        """Returns those of a release."""
        return cls(ERRNO_KEPT.holds(version), not LENGTH_FIRST.holds(version), check_pass)


class _Walk:
    """One pass over a context."""

    __slots__ = ("depends", "fixups", "handlers", "last", "loaded", "loading", "machine", "reader",
                 "room")  # fmt: skip

    def __init__(
        self, reader: ContextCursor, handlers: Handlers, machine: Machine, *, loading: bool
    ) -> None:
        self.reader = reader
        self.handlers = handlers
        self.machine = machine
        self.loading = loading
        self.room = RECORDS_LIMIT
        self.loaded = 0
        self.last: str | None = None
        self.depends: list[str] = []
        self.fixups: list[str] = []

    def header(self) -> None:
        """Takes HEADER, which must be first. Raises Refusal."""
        if self.reader.data.startswith(_PLAIN_HEADER) and self.reader.size >= _HEADER_END:
            self.reader.cursor = _HEADER_END
            return
        try:
            body = self.reader.entry(hvm.HEADER_TYPECODE, hvm.HEADER_SIZE, strict=True)
        except Mismatch as why:
            raise Refusal(
                "ENODATA", "HEADER_FIRST", f"no header comes first: {why}", _LOAD
            ) from None
        magic, version = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4))
        if magic != hvm.HEADER_MAGIC:
            reason = f"the header's magic is {magic:#x}, expected {hvm.HEADER_MAGIC:#x}"
            raise Refusal("EINVAL", "HEADER_MAGIC", reason, _HEADER)
        if version != hvm.HEADER_VERSION:
            reason = f"the header's version is {version}, expected {hvm.HEADER_VERSION}"
            raise Refusal("EINVAL", "HEADER_VERSION", reason, _HEADER)

    def quick(self) -> None:
        """Takes records as long as nothing is to be said of them: `step` looks at the first other.

        Such a record is as long as its struct, there in full and admitted, and breaks no rule.
        """
        reader, machine, stops = self.reader, self.machine, self.loading
        data, size, cursor, loaded = reader.data, reader.size, reader.cursor, self.loaded
        find, bounds, unpack = self.handlers.get, machine.bounds, hvm.DESCRIPTOR.unpack_from
        last: tuple[Handler, int] | None = None
        room = self.room
        while room and size - cursor >= SIZE:
            typecode, instance, length = unpack(data, cursor)
            start = cursor + SIZE
            end = start + length
            handler = find(typecode)
            if handler is None or end > size:
                break
            if stops or handler.checks:
                if length != handler.plain or instance >= bounds[handler]:
                    break
                tests = handler.load_tests if stops else handler.check_tests
                if tests:
                    body = Body(data[start:end], handler.places, instance, length)
                    if not _passes(tests, body, machine):
                        break
            cursor = end
            room -= 1
            if stops:
                loaded += 1
                last = handler, instance
        reader.cursor, self.room = cursor, room
        if last is not None:
            self.loaded, self.last = loaded, f"{last[0].name} {last[1]}"

    def step(self) -> bool:
        """Takes one more record; False at END, and behind RECORDS_LIMIT. Raises Refusal."""
        reader = self.reader
        if reader.left < SIZE:
            reason = f"the context does not end with END: {reader.left} bytes are left"
            raise Refusal("ENODATA", "END_MISSING", reason, _LOAD)
        typecode, instance, length = reader.descriptor()
        if typecode == hvm.END_TYPECODE:
            return False
        if not self.room:
            self.depends.append(f"whether what follows {RECORDS_LIMIT:,} records loads")
            return False
        self.room -= 1
        handler = self.handlers.get(typecode)
        if handler is None:
            reason = f"the release has no handler for typecode {typecode}"
            raise Refusal("EINVAL", "TYPECODE_UNKNOWN", reason, _LOAD)
        if self.loading:
            self.loaded += 1
            self.last = f"{handler.name} {instance}"
            note = handler.load(reader, self.machine)
            self.depends += note.depends
            if note.fixup:
                self.fixups.append(note.fixup)
        elif handler.checks:
            self.depends += handler.check(reader, self.machine).depends
        else:
            if length > reader.left - SIZE:
                reason = f"its length is {length}, {reader.left - SIZE} bytes are left"
                raise Refusal("ENODATA", "ENTRY_LENGTH", reason, _LOAD)
            reader.skip(length)
        return True

    def run(self, rules: LoopRules) -> Verdict:
        """Walks to END or to the first refusal."""
        start = 0
        try:
            self.header()
            self.quick()
            start = self.reader.cursor
            while self.step():
                self.quick()
                start = self.reader.cursor
        except Refusal as refusal:
            return self._refused(refusal, start, rules)
        fixups = tuple(self.fixups)
        outcome = Depends if self.depends else Accepted
        return outcome(tuple(self.depends), self.loaded, self.last, fixups)

    def _refused(self, refusal: Refusal, start: int, rules: LoopRules) -> Refused:
        typecode = instance = record = None
        if self.reader.size - start >= SIZE and refusal.rule != "END_MISSING":
            typecode, instance, _ = hvm.DESCRIPTOR.unpack_from(self.reader.data, start)
            handler = self.handlers.get(typecode)
            names = {hvm.HEADER_TYPECODE: "HEADER", hvm.END_TYPECODE: "END"}
            name = handler.name if handler else names.get(typecode, f"type {typecode}")
            record = f"{name}[{instance}]"
        return Refused(
            errno=refusal.errno if rules.errno_kept else "EPERM",
            record=record,
            typecode=typecode,
            instance=instance,
            offset=start,
            loaded=self.loaded,
            last=self.last,
            rule=refusal.rule,
            reason=refusal.reason,
            cite=refusal.cite,
        )


def _passes(tests: Tests, body: Body, machine: Machine) -> bool:
    """Tells whether no rule has anything to say."""
    try:
        for test in tests:
            if test(body, machine) is not None:
                return False
    except Undecided:
        return False
    return True


def check(data: bytes, handlers: Handlers, machine: Machine, rules: LoopRules) -> Verdict:
    """Does the check pass: no record is loaded, those without a check handler are skipped."""
    reader = ContextCursor(data, whole_first=rules.whole_first)
    return _Walk(reader, handlers, machine, loading=False).run(rules)


def load(data: bytes, handlers: Handlers, machine: Machine, rules: LoopRules) -> Verdict:
    """Does the check pass, where the release has one, and loads."""
    machine.reset()
    walk = _Walk(
        ContextCursor(data, whole_first=rules.whole_first), handlers, machine, loading=True
    )
    if rules.check_pass:
        checked = check(data, handlers, machine, rules)
        if isinstance(checked, Refused):
            return checked
        walk.depends += checked.depends
    return walk.run(rules)


def state_of(data: bytes, handlers: Handlers) -> DomainState:
    """Returns what a context that was loaded left behind, as each handler keeps it."""
    plain = DomainState.of_context(data)
    bodies = {key: handlers[key[0]].stored(body) for key, body in plain.bodies.items()}
    return DomainState(bodies, plain.header)
