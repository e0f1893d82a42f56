"""A C struct, as libclang lays it out, to a Layout of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave.catalogue.model import Field, Layout
from xensave.errors import LimitExceeded, Malformed
from xensave.findings import Place
from xensave.headers.compiled.job import FieldAnswer, ParserAnswer
from xensave.headers.compiled.limits import LEAVES


class CompiledStruct(NamedTuple):
    """A struct: its members as fields, and beside each its canonical type and, if any, its struct.

    The canonical type is the one without typedefs, as the compiler spells it.
    """

    name: str
    size: int
    align: int
    fields: tuple[Field, ...]
    canonical: tuple[str, ...]
    inner: tuple[CompiledStruct | None, ...]
    place: Place = Place()

    def field(self, name: str) -> Field | None:
        """Returns the member of that name."""
        return next((field for field in self.fields if field.name == name), None)

    def member(self, name: str) -> CompiledStruct | None:
        """Returns the struct of the member of that name."""
        pairs = zip(self.fields, self.inner, strict=True)
        return next((inner for field, inner in pairs if field.name == name), None)


def canonical_types(struct: CompiledStruct) -> Iterator[tuple[str, str]]:
    """Yields the canonical type of every field of a struct that is no struct, by its path."""
    for field, canonical, inner in zip(struct.fields, struct.canonical, struct.inner, strict=True):
        if inner is None:
            yield field.name, canonical
            continue
        for path, result in canonical_types(inner):
            yield f"{field.name}.{path}".strip("."), result


def layout_of(record: str, struct: CompiledStruct, *, open_ended: bool = False) -> Layout:
    """Returns the Layout of a struct. `open_ended` says that data may follow it."""
    return Layout(
        record=record,
        id="",
        struct=struct.name,
        size=struct.size,
        align=struct.align,
        fields=struct.fields,
        flexible=open_ended or _ends_open(struct.fields),
    )


def structs_of(answer: ParserAnswer, label: str) -> dict[str, CompiledStruct]:
    """Returns the structs that an answer tells by name. Raises LimitExceeded for too many fields.

    A type comes before those that contain it, and its fields are made once, however many do.

    Raises Malformed for a struct that is not complete.
    """
    made: list[CompiledStruct] = []
    leaves: list[int] = []
    for told in answer["types"]:
        indexes = [field["struct"] for field in told["fields"]]
        if any(index is not None and index < 0 for index in indexes):
            raise Malformed(f"{told['name']!r} has a member of an incomplete struct").about(label)
        count = sum(1 if index is None else leaves[index] for index in indexes)
        if count > LEAVES:
            raise LimitExceeded(f"{label}: {told['name']} has more than {LEAVES} fields")
        leaves.append(count)
        inner = tuple(None if index is None else made[index] for index in indexes)
        unions = [index is not None and answer["types"][index]["union"] for index in indexes]
        fields = tuple(map(_field, told["fields"], inner, unions))
        canonical = tuple(field["canonical"] for field in told["fields"])
        made.append(
            CompiledStruct(told["name"], told["size"], told["align"], fields, canonical, inner)
        )
    if sum(leaves[index] for index, _ in answer["structs"].values() if index >= 0) > 8 * LEAVES:
        raise LimitExceeded(f"{label}: its structs have more than {8 * LEAVES} fields")
    structs = {}
    for name, (index, place) in answer["structs"].items():
        if index < 0:
            raise Malformed(f"struct {name} is not complete").about(label)
        structs[name] = made[index]._replace(place=Place(file=place[0], line=place[1]))
    return structs


def _field(told: FieldAnswer, struct: CompiledStruct | None, union: bool) -> Field:
    bits = told["bits"]
    return Field(
        name=told["name"],
        type=told["type"],
        offset=told["offset"],
        size=told["size"],
        dims=tuple(told["dims"]),
        bits=(bits[0], bits[1]) if bits else None,
        fields=struct.fields if struct else (),
        union=union and struct is not None and bool(struct.fields),
    )


def _ends_open(fields: tuple[Field, ...]) -> bool:
    if not fields:
        return False
    last = fields[-1]
    if last.dims:
        return last.dims[0] == 0
    return _ends_open(last.fields) and not last.union
