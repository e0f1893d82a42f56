"""A record as values by path: what a comparison, an edit and a report name a field by.

An entry of a list that names itself (an HVM param, an MSR, a CPUID leaf) goes by that name; of a
union the first member counts; what an array of bytes holds comes under the part's name.

>>> from xensave.image import open_image
>>> from xensave.image.subjects import find_subjects
>>> with open_image("examples/hvm1.img.zst") as image:
...     params, = find_subjects(image, "HVM_PARAMS")
>>> leaves_of(params.name, params.layout, params.values)["STORE_PFN"].text
'0xfeffc'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from xensave.catalogue.model import Field, Layout
from xensave.records.flat import element_size, written, written_inside
from xensave.records.meaning.bits import Register
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF
from xensave.records.meaning.cpu.features import feature_tables
from xensave.records.meaning.explain import COVERED, meaning, parts, register_of
from xensave.records.meaning.rows import ROWS
from xensave.records.values import Value, Values, integer

_INDEX = re.compile(r"\[\d+\]")


class Leaf(NamedTuple):
    """One value: as it is, as text, and what it means; `register` names its bits."""

    value: int | bytes | str
    text: str
    meaning: str = ""
    register: Register | None = None


def leaves_of(name: str, layout: Layout | None, values: Values) -> dict[str, Leaf]:
    """Returns a record's values by path, in the order of the struct; none without a layout.

    Padding that the layout names counts; bytes beyond the layout do not.
    """
    result: dict[str, Leaf] = {}
    if layout is None:
        return result
    contents = parts(name, values)
    covered = COVERED.get(name) if contents else None
    for path, leaf in _of_fields(name, written(layout.fields), values, ""):
        if path != covered:
            result[path] = leaf
    for part in contents:
        for path, leaf in _of_fields(part.kind, written(part.layout.fields), part.values, ""):
            result[f"{part.name}.{path}"] = leaf
    return result


def without_indices(path: str) -> str:
    """Returns a path as it is of every element: "channels[2].status" is "channels.status"."""
    return _INDEX.sub("", path)


def _of_fields(
    kind: str, fields: Iterable[Field], values: dict[str, Value], prefix: str
) -> Iterator[tuple[str, Leaf]]:
    for field in fields:
        yield from _of_value(kind, field, values[field.name], prefix + field.name)


def _of_value(kind: str, field: Field, value: Value, path: str) -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, dict):
        yield from _of_struct(kind, field, value, path)
    elif isinstance(value, list):
        element = field._replace(dims=field.dims[1:], size=element_size(field))
        for index, item in enumerate(value):
            yield from _of_value(kind, element, item, f"{path}[{index}]")
    elif isinstance(value, bytes):
        yield from _of_bytes(kind, value, path)
    else:
        digits = 0 if field.bits else 2 * element_size(field)
        text = f"{value:#0{digits + 2}x}" if digits and value >= 0 else str(value)
        yield path, Leaf(value, text, meaning(kind, path, value), register_of(kind, path))


def _of_struct(
    kind: str, field: Field, value: dict[str, Value], path: str
) -> Iterator[tuple[str, Leaf]]:
    entries = ENTRIES.get(field.type)
    if entries is not None:
        yield from entries(value)
    elif field.type in ROWS:
        row = ROWS[field.type](value)
        yield path, Leaf(row.value, row.value, row.meaning)
    else:
        yield from _of_fields(kind, written_inside(field), value, f"{path}.")


def _of_bytes(kind: str, value: bytes, path: str) -> Iterator[tuple[str, Leaf]]:
    """Yields bytes as a whole, or one by one where each has a meaning of its own."""
    singly = [meaning(kind, f"{path}[{index}]", byte) for index, byte in enumerate(value)]
    if not any(singly):
        yield path, Leaf(value, value.hex(" "))
        return
    for index, (byte, means) in enumerate(zip(value, singly, strict=True)):
        yield f"{path}[{index}]", Leaf(byte, f"{byte:#04x}", means)


def _param(entry: dict[str, Value]) -> Iterator[tuple[str, Leaf]]:
    from xensave.records.meaning.params import param_meaning, param_name

    index, value = integer(entry, "index"), integer(entry, "value")
    name = param_name(index).replace(" ", "_")
    yield name, Leaf(value, f"{value:#x}", param_meaning(index, value))


def _msr(entry: dict[str, Value]) -> Iterator[tuple[str, Leaf]]:
    from xensave.records.meaning.cpu.msr import msr_name

    index = integer(entry, "index")
    value = integer(entry, "value" if "value" in entry else "val")
    yield msr_name(index) or f"{index:#x}", Leaf(value, f"{value:#018x}")


def _cpuid_leaf(entry: dict[str, Value]) -> Iterator[tuple[str, Leaf]]:
    leaf, subleaf = integer(entry, "leaf"), integer(entry, "subleaf")
    front = f"{leaf:#x}" if subleaf == NO_SUBLEAF else f"{leaf:#x}.{subleaf}"
    for name in "abcd":
        value = integer(entry, name)
        register = feature_tables().get((leaf, 0 if subleaf == NO_SUBLEAF else subleaf, name))
        yield f"{front}.{name}", Leaf(value, f"{value:#010x}", register=register)


ENTRIES: dict[str, Callable[[dict[str, Value]], Iterator[tuple[str, Leaf]]]] = {
    "struct param": _param,
    "struct msr": _msr,
    "struct hvm_one_msr": _msr,
    "struct leaf": _cpuid_leaf,
}
"""The structs that name themselves: how an element of such an array is called."""
