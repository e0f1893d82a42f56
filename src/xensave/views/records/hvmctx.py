"""An HVM context as the text of Xen 4.17's xen-hvmctx (tools/misc/xen-hvmctx.c).

That tool reads by the structs it was built with, whatever length a descriptor states: so does
this view, from the raw bytes. What it prints of each record is in `hvmctx_text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from xensave import catalogue
from xensave.catalogue.model import Layout
from xensave.errors import Malformed, Truncated
from xensave.records.codec import decode
from xensave.records.compiled.scalars import Buffer
from xensave.records.meaning.bits import FPU_INITIALISED
from xensave.records.meaning.cpu.fxsave import FXSAVE
from xensave.records.values import Value, Values, get, integer, octets
from xensave.views.records.hvmctx_text import FPU, LINES

RELEASE = "4.17"
_DESCRIPTOR = 8
_END = 0
_HOLE = re.compile(r"\{([^{}:]+):([^{}]*)\}")


def hvmctx(data: Buffer, domain: int = 0) -> Iterator[str]:
    """Yields the text of a context, a record at a time; `domain` is the first line's number.

    Raises Truncated where the tool says that it needs more bytes, and Malformed where a length
    would make it read backwards for ever.
    """
    view = memoryview(data)
    yield f"HVM save record for domain {domain}\n"
    at, entry = 0, 0
    while entry == 0 or at < len(view):
        head = _take(view, at, _DESCRIPTOR)
        at += _DESCRIPTOR
        typecode = int.from_bytes(head[:2], "little")
        instance = int.from_bytes(head[2:4], "little")
        length = int.from_bytes(head[4:], "little")
        text = f"Entry {entry}: type {typecode} instance {instance}, length {length}\n"
        entry += 1
        if typecode == _END:
            yield text
            return
        name, layout = _layouts().get(typecode, ("", None))
        if layout is not None:
            yield text
            yield _record(name, decode(layout, _take(view, at, layout.size)))
            at += layout.size
            continue
        yield f"{text} ** Don't understand type {typecode}: skipping\n"
        if at + length >= 1 << 32:
            raise Malformed(
                f"length {length:#x} wraps the tool's 32-bit offset",
                offset=at - _DESCRIPTOR,
                record=f"type {typecode}[{instance}]",
            )
        at += length


@cache
def _layouts() -> dict[int, tuple[str, Layout | None]]:
    """Returns names and layouts, by typecode, of the records that the tool knows."""
    return {
        binding.typecode: (binding.name, catalogue.layout(binding.layout))
        for binding in catalogue.release(RELEASE).bindings
        if binding.name in LINES
    }


def _take(view: memoryview, at: int, size: int) -> memoryview:
    left = len(view) - at
    if left < size:
        raise Truncated(
            f"need another {size} bytes, only {left} available", wanted=size, got=left, offset=at
        )
    return view[at : at + size]


def _record(name: str, values: Values) -> str:
    if name == "LAPIC_REGS":
        page = octets(values, "data")
        words = [int.from_bytes(page[i : i + 4], "little") for i in range(0, len(page), 16)]
        return _fill(LINES[name], {"page": [*words]})
    text = _fill(LINES[name], values)
    if name == "CPU" and integer(values, "flags") & FPU_INITIALISED:
        text += _fill(FPU, decode(FXSAVE, octets(values, "fpu_regs")))
    return text


def _fill(template: str, values: dict[str, Value]) -> str:
    return _HOLE.sub(lambda hole: _format(get(values, hole[1]), hole[2]), template)


def _format(value: Value, form: str) -> str:
    """Formats an integer: "d" decimal; "8" hex of 8 digits; "#18.8" as C's %#18.8x; "a|b" words."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    if form == "d":
        return str(value)
    if "|" in form:
        off, on = form.split("|")
        return on if value else off
    if not form.startswith("#"):
        return f"{value:0{form}x}" if form else f"{value:x}"
    width, _, digits = form[1:].partition(".")
    # C's alternate form leaves the prefix off a zero.
    shown = ("0x" if value else "") + f"{value:0{digits or 1}x}"
    return shown.rjust(int(width or 0))
