"""The inner nodes of a compiled layout: structs, unions, and arrays of them."""

import struct
from collections.abc import Container, Iterable
from typing import NamedTuple

from xensave.errors import UsageError
from xensave.records.compiled.scalars import Buffer, Integer, Integers, Node, Octets, items
from xensave.records.values import Value


class Array:
    """An array of structs, unions or arrays."""

    __slots__ = ("count", "element", "size")

    def __init__(self, element: Node, count: int) -> None:
        self.element = element
        self.count = count
        self.size = element.size * count

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the elements as a list."""
        return self._elements(buffer, at)

    def _elements(self, buffer: Buffer, at: int) -> list[Value]:
        element = self.element
        if isinstance(element, StructNode) and element.scalar:
            return element.read_many(buffer[at : at + self.size])
        return [element.read(buffer, at + index * element.size) for index in range(self.count)]

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts those elements that differ from what is there, of as many as there must be."""
        wanted = items(value, self.count, path)
        element = self.element
        if isinstance(element, StructNode) and (packed := element.packed(wanted)):
            buffer[at : at + self.size] = packed
            return
        before = self._elements(buffer, at)
        for index, (item, old) in enumerate(zip(wanted, before, strict=True)):
            if item != old:
                self.element.write(buffer, at + index * self.element.size, item, f"{path}[{index}]")


def array_of(element: Node, count: int) -> Node:
    """Returns a number of elements: bytes and integers are read at once."""
    if isinstance(element, Integer):
        return Octets(count) if element.size == 1 else Integers(element, count)
    return Array(element, count)


class Flexible:
    """An array without a length: as many whole elements as the body has bytes for."""

    __slots__ = ("element", "size")

    def __init__(self, element: Node) -> None:
        self.element = element
        self.size = 0

    def read(self, buffer: Buffer, at: int) -> Value:
        """Returns the elements that are there."""
        room = max(0, len(buffer) - at)
        return array_of(self.element, room // self.element.size).read(buffer, at)

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts the elements; the body grows or shrinks with their number.

        Raises UsageError for a value of another shape.
        """
        if not isinstance(value, (list, bytes)):
            raise UsageError(f"{path} takes a list")
        unit = self.element.size
        wanted = len(value) * unit
        present = max(0, len(buffer) - at) // unit * unit
        if wanted < present:
            del buffer[at + wanted : at + present]
        else:
            buffer[at + present : at + present] = bytes(wanted - present)
        array_of(self.element, len(value)).write(buffer, at, value, path)


class StructMember(NamedTuple):
    """A named part of a struct: those of an anonymous struct or union are its parent's."""

    name: str
    offset: int
    node: Node


class StructNode:
    """A struct or union: its members by name, in the order of their declaration."""

    __slots__ = (
        "_apart", "_blank", "_dense", "_fast", "_names", "_rest", "_whole", "members", "size",
    )  # fmt: skip

    def __init__(self, members: tuple[StructMember, ...], size: int) -> None:
        self.size = size
        self.members = {member.name: member for member in members}
        self._blank = dict.fromkeys(self.members, 0)
        form, fast = _one_sweep(self.members.values())
        self._fast = form
        self._names = tuple(member.name for member in fast)
        taken = set(self._names)
        self._rest = tuple(m for m in self.members.values() if m.name not in taken)
        self._whole = struct.Struct(f"{form.format}{max(0, size - form.size)}x")
        self._apart = _apart(self.members.values())
        integers = [m.node.size for m in fast if isinstance(m.node, Integer)]
        self._dense = len(integers) == len(fast) and sum(integers) == size

    @property
    def scalar(self) -> bool:
        """Whether every member is an integer or bytes, none over another."""
        return not self._rest and self._whole.size == self.size > 0

    def read_many(self, buffer: Buffer) -> list[Value]:
        """Returns each struct of an array of `scalar` ones."""
        names = self._names
        return [dict(zip(names, row, strict=True)) for row in self._whole.iter_unpack(buffer)]

    def packed(self, wanted: list[Value]) -> bytes | None:
        """Returns the bytes of an array of such structs, if they are integers without gaps.

        None for what is written member by member: values that leave members out, or do not fit.
        """
        if not self.scalar or not self._dense:
            return None
        names, rows = self._names, []
        for item in wanted:
            if not isinstance(item, dict) or item.keys() != self.members.keys():
                return None
            rows.append([item[name] for name in names])
        try:
            return b"".join([self._whole.pack(*row) for row in rows])
        except struct.error:
            return None

    def read(self, buffer: Buffer, at: int) -> dict[str, Value]:
        """Returns the members by name."""
        fields: dict[str, Value] = {**self._blank}
        fields.update(zip(self._names, self._fast.unpack_from(buffer, at), strict=True))
        for name, offset, node in self._rest:
            fields[name] = node.read(buffer, at + offset)
        return fields

    def read_some(self, buffer: Buffer, at: int, names: Container[str]) -> dict[str, Value]:
        """Returns the members of these names, in the order of the struct."""
        return {
            name: member.node.read(buffer, at + member.offset)
            for name, member in self.members.items()
            if name in names
        }

    def write(self, buffer: bytearray, at: int, value: Value, path: str) -> None:
        """Puts those members that differ from what is there; the others are left alone.

        Raises UsageError for a value of another shape.
        """
        if not isinstance(value, dict):
            raise UsageError(f"{path} takes its members by name")
        # All of them come by one sweep, a few are read alone.
        few = len(value) < len(self.members)
        before = self.read_some(buffer, at, value) if few else self.read(buffer, at)
        changed = [name for name in value if name not in before or value[name] != before[name]]
        for name in changed:
            where = f"{path}.{name}" if path else name
            member = self.members.get(name)
            if member is None:
                raise UsageError(f"there is no field {where}")
            member.node.write(buffer, at + member.offset, value[name], where)
        if len(changed) > 1 and not self._apart:
            self._agree(buffer, at, value, changed, path)

    def _agree(
        self,
        buffer: bytearray,
        at: int,
        value: dict[str, Value],
        changed: list[str],
        path: str,
    ) -> None:
        after = self.read(buffer, at)
        for name in changed:
            if not _holds(after[name], value[name]):
                where = f"{path}.{name}" if path else name
                raise UsageError(f"{where} and another member of its union differ: change one")


def _apart(members: Iterable[StructMember]) -> bool:
    """Whether no member has a byte of another, as those of a union and bit-fields do."""
    end = 0
    for member in sorted(members, key=lambda member: member.offset):
        if member.offset < end or isinstance(member.node, Flexible):
            return False
        end = member.offset + member.node.size
    return True


def _holds(value: Value, wanted: Value) -> bool:
    """Whether a value is the one that is wanted, which may leave members of a dict out."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(_holds(value[name], item) for name, item in wanted.items())
    if isinstance(value, list) and isinstance(wanted, (list, tuple)):
        return all(map(_holds, value, wanted))
    return value == wanted


def _one_sweep(members: Iterable[StructMember]) -> tuple[struct.Struct, list[StructMember]]:
    """Gathers the scalars and byte arrays that one struct.Struct can read, in offset order."""
    form, end = "<", 0
    fast: list[StructMember] = []
    for member in members:
        if member.offset < end:
            continue
        if isinstance(member.node, Integer):
            code = member.node.code
        elif isinstance(member.node, Octets):
            code = f"{member.node.size}s"
        else:
            continue
        form += f"{member.offset - end}x{code}"
        end = member.offset + member.node.size
        fast.append(member)
    return struct.Struct(form), fast
