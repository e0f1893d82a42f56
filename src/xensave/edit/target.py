"""From a path to a value in a record's body, and from a new value to a new body."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import Field, Layout
from xensave.edit.assignment import Assignment, integer_of
from xensave.errors import UsageError
from xensave.records.codec import decode, encode
from xensave.records.flat import element_size, walk
from xensave.records.meaning.bits import Bit, Register
from xensave.records.meaning.cpu.msr import msr_number
from xensave.records.meaning.explain import parts, register_of
from xensave.records.meaning.leaves import ENTRIES, leaves_of, without_indices
from xensave.records.values import Value, Values, get, put, structs

_ELEMENT = re.compile(r"(.*)\[(\d+)\]")


class EditTarget(NamedTuple):
    """A field: its value, how many bits it has, and what makes a body with another value of it.

    `bits` is 0 where it is no integer. `register` names the bits.
    """

    value: Value
    bits: int
    register: Register | None
    store: Callable[[Value], bytes]


def changed_body(name: str, layout: Layout, body: bytes, assignment: Assignment) -> bytes:
    """Returns a record's body after an assignment.

    Raises UsageError for a field that there is not, or a value that does not fit it.
    """
    for path in assignment.paths:
        try:
            body = _assigned(name, layout, body, path, assignment)
        except UsageError as error:
            raise error.reworded(f"{assignment.text}: {error.message}") from error
    return body


def _assigned(name: str, layout: Layout, body: bytes, path: str, assignment: Assignment) -> bytes:
    target = find_target(name, layout, body, path)
    if target is not None:
        return target.store(_new_value(target, assignment))
    head, _, bit_name = path.rpartition(".")
    register = find_target(name, layout, body, head) if head else None
    if register is None or not isinstance(register.value, int):
        known = (place.path for place in walk(layout.fields))
        raise UsageError(f"{name} has no field {path}").among(without_indices(path), known)
    bit = _bit(register, bit_name, f"{name}.{head}")
    return register.store(_with_bit(register.value, bit, assignment))


def find_target(name: str, layout: Layout, body: bytes, path: str) -> EditTarget | None:
    """Returns the field at a path, None where there is none.

    A path is one of `show --json`, the name of an entry ("STORE_PFN" of HVM_PARAMS, "TSC_AUX" of
    CPU_MSR, "0x7.0.b" of X86_CPUID_POLICY), or begins with the name of a part ("x87+SSE.mxcsr").
    A param or an MSR that the record lacks is 0, and is added when it is stored.
    """
    values = decode(layout, body, zeroextend=True)
    entry = _entries(layout, values).get(path)
    register = leaves_of(name, layout, values)[path].register if entry else None
    target = _in_struct(name, layout, values, entry or path, register)
    if target is not None:
        return target
    for part in parts(name, values):
        if path.startswith(f"{part.name}."):
            inner = path[len(part.name) + 1 :]
            result = _in_struct(part.kind, part.layout, part.values, inner, None)
            if result is not None:
                return result._replace(store=_spliced(body, part.offset, result.store))
    return _new_entry(layout, values, path)


def _in_struct(
    kind: str, layout: Layout, values: Values, path: str, register: Register | None
) -> EditTarget | None:
    try:
        value = get(values, path)
    except UsageError:
        return None

    def store(new: Value) -> bytes:
        changed = values.copy()
        element = _ELEMENT.fullmatch(path)
        whole = get(changed, element[1]) if element else None
        if element and isinstance(whole, bytes):
            put(changed, element[1], _with_octet(whole, int(element[2]), new, path))
        else:
            put(changed, path, new)
        return encode(layout, changed)

    return EditTarget(
        value, _width(layout, path, value), register or register_of(kind, path), store
    )


def _width(layout: Layout, path: str, value: Value) -> int:
    """Returns the bits of a field that is an integer."""
    plain = without_indices(path)
    if isinstance(value, int):
        for place in walk(layout.fields):
            if place.path == plain and not place.field.fields:
                field = place.field
                return field.bits[1] if field.bits else 8 * element_size(field)
    return 0


def _new_entry(layout: Layout, values: Values, name: str) -> EditTarget | None:
    """Returns an entry that is to be added to a list whose entries name themselves."""
    for field in layout.fields:
        number_of = _NUMBERS.get(field.type)
        index = number_of(name) if number_of is not None and field.dims == (0,) else None
        if index is not None:
            return EditTarget(0, 64, None, _appending(layout, values, field, index))
    return None


def _appending(
    layout: Layout, values: Values, field: Field, index: int
) -> Callable[[Value], bytes]:
    member = next(each.name for each in field.fields if each.name in ("value", "val"))

    def append(new: Value) -> bytes:
        changed = values.copy()
        entry: dict[str, Value] = {"index": index, member: new}
        entries: list[Value] = [*structs(changed, field.name), entry]
        changed[field.name] = entries
        if "count" in changed:
            changed["count"] = len(entries)
        return encode(layout, changed)

    return append


_NUMBERS: dict[str, Callable[[str], int | None]] = {
    "struct param": lambda name: catalogue.space("hvm-param").number_of(name),
    "struct msr": msr_number,
    "struct hvm_one_msr": msr_number,
}


def _entries(layout: Layout, values: Values) -> dict[str, str]:
    """Returns the paths of entries that name themselves: a param, an MSR, a CPUID leaf."""
    result: dict[str, str] = {}
    for field in layout.fields:
        if field.type not in ENTRIES or not field.dims:
            continue
        for index, entry in enumerate(structs(values, field.name)):
            for name, _ in ENTRIES[field.type](entry):
                member = name.rpartition(".")[2] if field.type == "struct leaf" else "value"
                member = member if member in entry else "val"
                result[name] = f"{field.name}[{index}].{member}"
    return result


def _spliced(body: bytes, offset: int, store: Callable[[Value], bytes]) -> Callable[[Value], bytes]:
    def splice(new: Value) -> bytes:
        part = store(new)
        return body[:offset] + part + body[offset + len(part) :]

    return splice


def _with_octet(whole: bytes, index: int, new: Value, path: str) -> bytes:
    if not isinstance(new, int) or not 0 <= new <= 0xFF:
        raise UsageError(f"{path} takes an integer from 0 to 0xff")
    return whole[:index] + bytes([new]) + whole[index + 1 :]


def _new_value(target: EditTarget, assignment: Assignment) -> Value:
    old, text = target.value, assignment.value
    if isinstance(old, int):
        return operated(old, integer_of(text, target.bits), assignment.operator)
    if assignment.operator != "=":
        raise UsageError("only an integer takes |= and &=")
    if isinstance(old, bytes):
        try:
            new = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            raise UsageError(f"{text!r} is not hexadecimal") from None
        if len(new) != len(old):
            raise UsageError(f"{len(old)} bytes are expected, not {len(new)}")
        return new
    shown = ", ".join(old) if isinstance(old, dict) else f"{len(old)} elements"
    raise UsageError(f"that is no single value, it has {shown}")


def operated(old: int, number: int, operator: str) -> int:
    """Returns what an operator makes of a number.

    >>> operated(0x34, 8, "|="), operated(0x3C, 8, "&="), operated(0x34, 8, "=")
    (60, 8, 8)
    """
    if operator == "|=":
        return old | number
    return old & number if operator == "&=" else number


def _bit(target: EditTarget, name: str, label: str) -> Bit:
    table = target.register or ()
    for bit in table:
        if bit.name.lower() == name.lower() and name != "-":
            return bit
    known = " ".join(bit.name for bit in table if bit.name != "-")
    raise UsageError(f"{label} has no bit {name}" + (f"; it has {known}" if known else ""))


def _with_bit(old: int, bit: Bit, assignment: Assignment) -> int:
    mask = (1 << bit.width) - 1
    value = integer_of(assignment.value, bit.width)
    new = operated(old >> bit.low & mask, value, assignment.operator)
    if not 0 <= new <= mask:
        raise UsageError(f"{bit.name} takes an integer from 0 to {mask:#x}")
    return old & ~(mask << bit.low) | new << bit.low
