"""The fields of a record as lines: name, value, meaning."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby

from xensave.catalogue.model import Field
from xensave.container.events import HVM
from xensave.container.streams.libxl import EMULATOR_HEADER_SIZE, parse_xenstore
from xensave.records.flat import element_size, reached, written
from xensave.records.meaning.explain import COVERED, Part, meaning, parts
from xensave.records.meaning.rows import LABELLED, ROWS
from xensave.records.subject import Subject
from xensave.records.values import Value
from xensave.views.text.escape import escape
from xensave.views.text.hexdump import rows_once
from xensave.views.text.wrap import hang

INLINE = 16
"""The most bytes that stand in a line."""
COLUMN = 30
"""Where a field's value begins."""
_VALUE = 20
# Arrays whose elements mean something by their place: equal ones are not shown as one.
_BY_INDEX = {("MTRR", "msr_mtrr_var"), ("MTRR", "msr_mtrr_fixed")}


def record_lines(subject: Subject, width: int) -> Iterator[str]:
    """Yields a record's heading, its fields, and the parts that its byte arrays hold."""
    layout = f", {subject.layout.id}" if subject.layout and subject.layer == HVM else ""
    place = f"{subject.length} bytes at {subject.offset:#x}"
    name = escape(subject.label)
    yield from hang(name, f"type {subject.typecode}, {place}{layout}", width, len(name) + 2)
    if subject.note:
        yield from hang("", escape(subject.note), width, 2)
    values = subject.reached
    subparts = parts(subject.name, values)
    if subject.layout is not None:
        covered = COVERED.get(subject.name) if subparts else None
        writer = _Writer(subject.name, width, covered)
        yield from writer.fields(subject.fields, values, "")
    for part in subparts:
        yield from part_lines(part, width, len(subject.body))
    if subject.name == "EMULATOR_XENSTORE_DATA":
        yield from _xenstore_lines(subject.body, width)
    elif subject.tail and subject.name != "CPU_XSAVE":
        yield f"  {len(subject.tail)} bytes beyond the layout" if subject.layout else "  body"
        yield from hex_lines(subject.tail, width, "    ")


def _xenstore_lines(body: bytes, width: int) -> Iterator[str]:
    """Yields the keys and values that follow the emulator's id and index."""
    for key, value in parse_xenstore(body[EMULATOR_HEADER_SIZE:]):
        yield from hang(f"  {escape(key)}", escape(value), width, COLUMN)


def part_lines(part: Part, width: int, length: int) -> Iterator[str]:
    """Yields a part's name and its fields, as far as a body of `length` bytes reaches."""
    fields = reached(part.layout.fields, length - part.offset)
    if not fields:
        return
    yield f"  {part.name}" + (f"  {escape(part.note)}" if part.note else "")
    writer = _Writer(part.kind, width, None, indent="    ")
    yield from writer.fields(fields, part.values, "")


class _Writer:
    """Writes fields as lines: `kind` is the key of their meanings."""

    def __init__(self, kind: str, width: int, covered: str | None, indent: str = "  ") -> None:
        self.kind = kind
        self.width = width
        self.covered = covered
        self.indent = indent

    def fields(
        self, fields: tuple[Field, ...], values: dict[str, Value], prefix: str
    ) -> Iterator[str]:
        for field in written(fields):
            yield from self._field(field, values[field.name], prefix + field.name)

    def _field(self, field: Field, value: Value, path: str) -> Iterator[str]:
        if isinstance(value, bytes):
            yield from self._octets(field, value, path)
        elif isinstance(value, list):
            yield from self._list(field, value, path)
        elif isinstance(value, dict):
            yield from self._struct(field, value, path)
        else:
            digits = 0 if field.bits else 2 + 2 * element_size(field)
            yield from self._line(path, _number(value, digits), meaning(self.kind, path, value))

    def _struct(self, field: Field, value: dict[str, Value], path: str) -> Iterator[str]:
        row = ROWS.get(field.type)
        if row is not None:
            label, text, means = row(value)
            yield from self._line(label or path, text, means)
        elif field.union:
            yield from self._union(field.fields[0], value, path)
        else:
            yield from self.fields(field.fields, value, path + ".")

    def _union(self, first: Field, value: dict[str, Value], path: str) -> Iterator[str]:
        """Shows a union by its first member, under its own name."""
        first_value = value.get(first.name)
        if isinstance(first_value, int):
            means = meaning(self.kind, f"{path}.{first.name}", first_value)
            yield from self._line(path, _number(first_value, 2 + 2 * first.size), means)
        else:
            yield from self.fields((first,), value, path + ".")

    def _list(self, field: Field, items: list[Value], path: str) -> Iterator[str]:
        inner = field._replace(dims=field.dims[1:], size=element_size(field))
        index = 0
        for item, run in groupby(items):
            count = sum(1 for _ in run)
            last = index + count - 1
            if count == 1 or field.type in LABELLED or (self.kind, path) in _BY_INDEX:
                for n in range(index, last + 1):
                    yield from self._field(inner, item, f"{path}[{n}]")
            else:
                yield from self._field(inner, item, f"{path}[{index}-{last}]")
            index += count
        if not items:
            yield from self._line(path, "none", "")

    def _octets(self, field: Field, value: bytes, path: str) -> Iterator[str]:
        if path == self.covered:
            yield from self._line(path, f"{len(value)} bytes, below", "")
        elif self.kind == "RTC" and path == "cmos_data":
            for index, byte in enumerate(value):
                label = f"{path}[{index}]"
                yield from self._line(label, f"{byte:#04x}", meaning(self.kind, label, byte))
        elif len(value) <= INLINE:
            yield from self._line(path, value.hex(" "), "")
        elif not any(value):
            yield from self._line(path, f"{len(value)} bytes of zero", "")
        else:
            yield from self._line(path, f"{len(value)} bytes", "")
            yield from hex_lines(value, self.width, self.indent + "  ")

    def _line(self, label: str, value: str, means: str) -> list[str]:
        # A meaning may quote the guest: the vendor string of a CPUID leaf is any twelve bytes.
        means = escape(means)
        text = f"{value:<{_VALUE}}  {means}" if means else value
        if self.width < COLUMN + _VALUE + 10:
            text = f"{value}  {means}" if means else value
            return hang(self.indent + label, text, self.width, 16)
        return hang(f"{self.indent}{label}", text, self.width, COLUMN)


def hex_lines(data: bytes, width: int, indent: str) -> Iterator[str]:
    """Yields a hex dump with offsets, the last line always; others that repeat one are "*"."""
    row = 32 if width >= len(indent) + 6 + 96 else 16 if width >= len(indent) + 6 + 48 else 8
    last = (len(data) - 1) // row * row
    for at, chunk in chain(rows_once(data, row, last), [(last, data[last:])]):
        yield f"{indent}*" if chunk is None else f"{indent}{at:04x}  {chunk.hex(' ')}"


def _number(value: int, digits: int) -> str:
    """Formats an integer: hexadecimal of so many digits, or decimal for 0 and negative ones."""
    return f"{value:#0{digits}x}" if digits and value >= 0 else str(value)
