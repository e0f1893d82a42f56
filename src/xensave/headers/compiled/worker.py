"""The process that parses C: it can open no file, and its memory and time are limited.

Each line of its input is a Job, each line of its output the Answer. Before the first job it gives
up the right to open files, so that an `#include` reaches what it was given and nothing else.
"""

from __future__ import annotations

import json
import posixpath
import re
import resource
import signal
import sys
from collections.abc import Iterator

from xensave.headers.compiled import cindex
from xensave.headers.compiled.cindex import Cursor, Location, TranslationUnit, Type
from xensave.headers.compiled.job import FieldAnswer, Job, ParserAnswer, Place, TypeAnswer, nothing
from xensave.headers.compiled.limits import FIELDS, MEMORY, SECONDS

_PROBE = "xensave_probe_"


class _TooManyFields(Exception):
    pass


def main() -> None:
    """Answers jobs until the input ends."""
    index = cindex.load()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        # The system ends the process when its time is over; the caller sees by which signal.
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        reply = json.dumps(answer(index, json.loads(line)), separators=(",", ":"))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(f"{reply}\n")
        sys.stdout.flush()


def answer(index: cindex.ClangIndex, job: Job) -> ParserAnswer:
    """Compiles what a job gives, and tells what it wants to know."""
    try:
        return _answer(index, job)
    except _TooManyFields:
        return nothing("fields")
    except (MemoryError, RecursionError):
        return nothing("memory")
    except ValueError:
        return nothing("parse")


def _answer(index: cindex.ClangIndex, job: Job) -> ParserAnswer:
    files = {name: text.encode("utf-8", "replace").decode() for name, text in job["files"].items()}
    unit = index.parse(job["main"], job["args"], files)
    answer = nothing()
    answer["error"] = _first_error(unit)
    answer["strays"] = list(_strays(unit, job))
    if answer["error"] or answer["strays"]:
        return answer
    types = _Types(answer["types"])
    structs, constants = re.compile(job["structs"]), re.compile(job["constants"])
    macros: dict[str, Place] = {}
    enums: list[tuple[str, int, Place]] = []
    for cursor in unit.cursor.get_children():
        kind = cursor.kind
        if kind == cindex.STRUCT:
            name = cursor.spelling
            if job["structs"] and structs.fullmatch(name) and cursor.is_definition():
                answer["structs"][name] = types.index(cursor.type), _place(cursor.location)
        elif kind == cindex.MACRO:
            place = _place(cursor.location)
            if (
                place[0] in job["files"]
                and place[0] != job["main"]
                and constants.fullmatch(cursor.spelling)
            ):
                macros[cursor.spelling] = place
    if job["constants"]:
        enums = list(_enumerators(unit, constants))
    values = {name: (name, value, place) for name, value, place in enums}
    values |= {row[0]: row for row in _evaluated(index, job, files, macros)} if macros else {}
    answer["constants"] = list(values.values())
    return answer


def _first_error(unit: TranslationUnit) -> tuple[str, int, str] | None:
    for diagnostic in unit.diagnostics:
        if diagnostic.severity >= cindex.ERROR:
            return *_place(diagnostic.location), diagnostic.spelling
    return None


def _strays(unit: TranslationUnit, job: Job) -> Iterator[tuple[str, Place]]:
    for inclusion in unit.get_includes():
        name = inclusion.include.name
        if name not in job["files"] and posixpath.normpath(name) not in job["files"]:
            yield name, _place(inclusion.location)


def _place(location: Location) -> Place:
    return (location.file.name if location.file else "", int(location.line))


def _enumerators(
    unit: TranslationUnit, wanted: re.Pattern[str]
) -> Iterator[tuple[str, int, Place]]:
    for cursor in unit.cursor.walk_preorder():
        if cursor.kind == cindex.ENUMERATOR and wanted.fullmatch(cursor.spelling):
            yield cursor.spelling, int(cursor.enum_value), _place(cursor.location)


def _evaluated(
    index: cindex.ClangIndex, job: Job, files: dict[str, str], macros: dict[str, Place]
) -> Iterator[tuple[str, int, Place]]:
    """Macros with the values that the compiler gives them, each in an enumerator of its own.

    A macro whose replacement is no integer constant has none.
    """
    text = files[job["main"]]
    first = text.count("\n") + 1
    tail = "".join(f"enum {{ {_PROBE}{name} = ({name}) }};\n" for name in macros)
    unit = index.parse(job["main"], job["args"], {**files, job["main"]: text + tail})
    bad = {
        diagnostic.location.line
        for diagnostic in unit.diagnostics
        if diagnostic.severity >= cindex.ERROR
    }
    good = {name for line, name in enumerate(macros, start=first) if line not in bad}
    for cursor in unit.cursor.get_children():
        if cursor.kind != cindex.ENUM:
            continue
        for member in cursor.get_children():
            name = member.spelling.removeprefix(_PROBE)
            if member.spelling.startswith(_PROBE) and name in good:
                yield name, int(member.enum_value), macros[name]


class _Types:
    """The struct types of an answer, each told once."""

    def __init__(self, answers: list[TypeAnswer]) -> None:
        self._answers = answers
        self._known: dict[int, list[tuple[Cursor, int]]] = {}
        self._fields = 0

    def index(self, type_: Type) -> int:
        """Returns the index of a struct type, told now if it was not before."""
        canonical = type_.get_canonical()
        declaration = canonical.get_declaration()
        alike = self._known.setdefault(declaration.hash, [])
        for known, index in alike:
            if known == declaration:
                return index
        if canonical.kind != cindex.RECORD_TYPE or canonical.get_size() < 0:
            return -1
        told = TypeAnswer(
            name=_type_name(type_).removeprefix("struct "),
            size=canonical.get_size(),
            align=canonical.get_align(),
            union=declaration.kind == cindex.UNION,
            fields=[],
        )
        for cursor in canonical.get_fields():
            self._fields += 1
            if self._fields > FIELDS:
                raise _TooManyFields
            told["fields"].append(self._field(cursor))
        alike.append((declaration, len(self._answers)))
        self._answers.append(told)
        return len(self._answers) - 1

    def _field(self, cursor: Cursor) -> FieldAnswer:
        dims, element = _dimensions(cursor.type.get_canonical(), cursor.type)
        canonical = element.get_canonical()
        size = max(cursor.type.get_size(), 0)
        start = cursor.get_field_offsetof()
        offset, bits = start // 8, None
        if cursor.is_bitfield():
            offset, bits = _bit_storage(start, cursor.get_bitfield_width(), size)
        # libclang calls a named member of an unnamed type anonymous too; its spelling tells.
        name = cursor.spelling
        return FieldAnswer(
            name=name if name.isidentifier() else "",
            type=_type_name(element),
            canonical=canonical.spelling,
            offset=offset,
            size=size,
            dims=dims,
            bits=bits,
            struct=self.index(element) if canonical.kind == cindex.RECORD_TYPE else None,
        )


def _bit_storage(offset: int, width: int, size: int) -> tuple[int, list[int]]:
    """Where a bit-field is read: the aligned integer of its declared type that holds it.

    gcc and clang lay bit-fields of different types side by side, so the declared type's unit may
    not be the one that began the run: it is the naturally aligned one around the bits.
    """
    unit = size * 8
    start = offset - offset % unit
    return start // 8, [offset - start, width]


def _dimensions(canonical: Type, written: Type) -> tuple[list[int], Type]:
    dims: list[int] = []
    while canonical.kind in cindex.ARRAYS:
        fixed = canonical.kind == cindex.FIXED_ARRAY
        dims.append(max(canonical.element_count, 0) if fixed else 0)
        written = _element(written)
        canonical = written.get_canonical()
    return dims, written


def _element(type_: Type) -> Type:
    if type_.kind == cindex.ELABORATED_TYPE:
        type_ = type_.get_named_type()
    if type_.kind not in cindex.ARRAYS:
        type_ = type_.get_canonical()
    return type_.element_type


def _type_name(type_: Type) -> str:
    declaration = type_.get_canonical().get_declaration()
    kind = "union" if declaration.kind == cindex.UNION else "struct"
    if "(unnamed" in type_.spelling or "(anonymous" in type_.spelling:
        return kind
    return str(type_.spelling)
