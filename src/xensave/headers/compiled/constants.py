"""Numbers that headers define: macros and enumerators, evaluated by the compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from xensave.findings import Place
from xensave.headers.compiled.cindex import ENUM, ENUMERATOR, ERROR, MACRO
from xensave.headers.compiled.clang import MAIN, ROOT, Unit, compile_headers
from xensave.headers.trees.tree import Tree

_PROBE = "xensave_probe_"


class Constant(NamedTuple):
    """A macro or enumerator with an integer value."""

    name: str
    value: int
    place: Place


def constants(
    tree: Tree,
    prefix: str,
    roots: Iterable[str],
    wanted: Callable[[str], bool],
    *,
    unit: Unit | None = None,
    defines: Iterable[str] = (),
) -> list[Constant]:
    """Return the integer macros and enumerators whose name is `wanted`, in their order.

    A macro whose replacement is not an integer constant is left out. `unit` saves a parse where
    the headers have been compiled already.
    """
    roots = list(roots)
    defines = list(defines)
    unit = unit or compile_headers(tree, prefix, roots, defines=defines)
    macros = _evaluate(tree, prefix, roots, defines, _macros(unit, wanted))
    found = {item.name: item for item in [*macros, *_enumerators(unit, wanted)]}
    return sorted(found.values(), key=lambda item: (item.place.file or "", item.place.line or 0))


def _macros(unit: Unit, wanted: Callable[[str], bool]) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for cursor in unit.unit.cursor.get_children():
        if cursor.kind != MACRO or not wanted(cursor.spelling):
            continue
        file = cursor.location.file
        if file is None or not file.name.startswith(ROOT) or file.name == MAIN:
            continue
        path, line = unit.place(cursor.location)
        places[cursor.spelling] = Place(file=path, line=line)
    return places


def _evaluate(
    tree: Tree, prefix: str, roots: list[str], defines: list[str], places: dict[str, Place]
) -> list[Constant]:
    """Let the compiler evaluate each macro in an enumerator of its own after the headers."""
    tail = "".join(f"enum {{ {_PROBE}{name} = ({name}) }};\n" for name in places)
    unit = compile_headers(tree, prefix, roots, defines=defines, tail=tail, tolerate_tail=True)
    lines = len(roots) + 1
    bad = {
        diagnostic.location.line
        for diagnostic in unit.unit.diagnostics
        if diagnostic.severity >= ERROR
    }
    good = {name for number, name in enumerate(places, start=lines) if number not in bad}
    return [Constant(name, value, places[name]) for name, value in _probes(unit) if name in good]


def _probes(unit: Unit) -> list[tuple[str, int]]:
    return [
        (member.spelling.removeprefix(_PROBE), int(member.enum_value))
        for cursor in unit.unit.cursor.get_children()
        if cursor.kind == ENUM
        for member in cursor.get_children()
        if member.spelling.startswith(_PROBE)
    ]


def _enumerators(unit: Unit, wanted: Callable[[str], bool]) -> list[Constant]:
    found = []
    for cursor in unit.unit.cursor.walk_preorder():
        if cursor.kind == ENUMERATOR and wanted(cursor.spelling):
            path, line = unit.place(cursor.location)
            found.append(
                Constant(cursor.spelling, int(cursor.enum_value), Place(file=path, line=line))
            )
    return found
