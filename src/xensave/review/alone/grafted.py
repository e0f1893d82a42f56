"""The two sides of a graft: what is touched compiled, the rest as the catalogue has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import OWN, Binding, Layout
from xensave.catalogue.owned import OwnedRange
from xensave.errors import Malformed, UsageError
from xensave.findings import Place
from xensave.headers.model import COMPAT, DECLARE, DEFINE, Frame, HeaderRecord, HeaderSpace
from xensave.headers.trees.tree import MemoryTree
from xensave.review.alone.facts import Kind
from xensave.review.alone.standin import DESCRIPTOR, PROLOGUE, Sheet, SheetRow
from xensave.review.patches.patch import ADDED, REMOVED, LineKind
from xensave.review.trees.sides import read_headers_of
from xensave.rules.numbers.model import Side

_FILE = "hvm/save.h"
_BINDS = (Kind.DECLARE, Kind.NUMBER)


def sides(sheet: Sheet, fallback: Place) -> tuple[Side, Side]:
    """Returns the sides before and after; `fallback` is a place for what no line shows.

    Raises UsageError where the lines of the patch do not suffice to lay out a struct.
    """
    name = sheet.release.name
    return (
        _Half(sheet, name, fallback, ADDED, lambda row: row.old).side(),
        _Half(sheet, f"{name} with the patch", fallback, REMOVED, lambda row: row.new).side(),
    )


class _Half(NamedTuple):
    """One side of a graft: the rows but for those of the kind `without`, each at its place."""

    sheet: Sheet
    name: str
    fallback: Place
    without: LineKind
    place_of: Callable[[SheetRow], Place | None]

    def side(self) -> Side:
        sheet = self.sheet
        rows, extra = self._rest(sheet.outer), self._rest(sheet.extra)
        structs = {
            tag: self._rest(struct.rows) for tag, struct in sheet.structs.items() if struct.touched
        }
        written = _written(sheet, rows, extra, structs)
        compiled = self._compiled(written) if written else None
        # A number that only names one for an expression binds no struct here.
        stays = {row.fact.name for row in rows if row.fact.kind in _BINDS}
        stays -= {row.fact.name for row in rows if _to_compile(sheet, row, structs)}
        compiled_records = compiled.headers.records if compiled else ()
        records = {record.name: record for record in compiled_records if record.name not in stays}
        for row in rows:
            binding = sheet.binds.get(row.fact.name)
            if row.fact.kind in _BINDS and binding is not None and row.fact.name not in records:
                records[row.fact.name] = _of_catalogue(binding, self._place(row))
        code_max, code_max_place = self._maximum(compiled, rows)
        return Side(
            HeaderSpace(
                source=self.name,
                records=tuple(sorted(records.values(), key=lambda r: (r.typecode, r.name))),
                code_max=code_max,
                code_max_place=code_max_place,
                reservations=tuple(self._reservations(rows)),
                frame=self._frame(compiled, rows),
                choices=compiled.headers.choices if compiled else (),
            ),
            compiled.lines if compiled else {},
        )

    def _rest(self, rows: Iterable[SheetRow]) -> list[SheetRow]:
        return [row for row in rows if row.kind != self.without]

    def _place(self, row: SheetRow) -> Place:
        return self.place_of(row) or self.fallback

    def _maximum(
        self, compiled: Side | None, rows: Iterable[SheetRow]
    ) -> tuple[int | None, Place | None]:
        """The largest value that HVM_SAVE_CODE_MAX has: as compiled, or as a row states it."""
        told = compiled.headers if compiled else None
        maximum = (told.code_max, told.code_max_place) if told else (None, None)
        for row in rows:
            if row.fact.kind is Kind.MAXIMUM:
                value = row.fact.value[0]
                if not isinstance(value, int):
                    return maximum
                if maximum[0] is None or value > maximum[0]:
                    maximum = value, self._place(row)
        return maximum

    def _compiled(self, rows: Sequence[SheetRow]) -> Side:
        text = PROLOGUE + "".join(f"{row.fact.text}\n" for row in rows)
        try:
            side = read_headers_of(MemoryTree({_FILE: text}, self.name))
        except Malformed as error:
            raise UsageError(
                f"the patch's own lines do not suffice to lay out its structs on {self.name} "
                f"({error.message}); give the tree that it is for with --tree"
            ) from error
        places = _places(rows, self.place_of)
        above = PROLOGUE.count("\n")

        def moved(place: Place) -> Place:
            row = (place.line or 0) - above - 1
            compiled = places[row] if 0 <= row < len(places) else None
            return compiled or self.fallback

        headers = side.headers
        frame = headers.frame
        return Side(
            replace(
                headers,
                records=tuple(replace(r, place=moved(r.place)) for r in headers.records),
                code_max_place=moved(headers.code_max_place) if headers.code_max_place else None,
                frame=replace(frame, place=moved(frame.place) if frame.place else None),
            ),
            {key: moved(place) for key, place in side.lines.items()},
        )

    def _reservations(self, rows: Iterable[SheetRow]) -> Iterator[OwnedRange]:
        for row in rows:
            if row.fact.kind is Kind.RESERVE:
                first, last = (int(number) for number in row.fact.value)
                owner = re.sub(r".* reserved for (.*) \*/", r"\1", row.fact.text)
                yield OwnedRange(first, last, owner, text=row.fact.text, place=self._place(row))

    def _frame(self, compiled: Side | None, rows: Iterable[SheetRow]) -> Frame:
        """The descriptor as compiled where it is touched, and the constants that rows state."""
        frame = compiled.headers.frame if compiled else Frame()
        constants: dict[str, tuple[int, Place]] = {}
        for row in rows:
            value = row.fact.value[0] if row.fact.kind is Kind.FRAME else None
            if isinstance(value, int):
                constants[row.fact.name] = (value, self._place(row))
        return Frame(frame.descriptor or DESCRIPTOR, frame.place or self.fallback, constants)


def _written(
    sheet: Sheet, rows: list[SheetRow], extra: list[SheetRow], structs: dict[str, list[SheetRow]]
) -> list[SheetRow]:
    """The rows to compile: what is touched, what it needs, and what binds it; none if none is."""
    outer = [row for row in rows if _to_compile(sheet, row, structs)]
    touched = [row for part in structs.values() for row in part]
    if not (outer or touched or extra):
        return []
    constants = [row for row in rows if row.fact.kind is Kind.CONSTANT]
    written = set(map(id, outer))
    symbols = [row for row in rows if row.fact.kind is Kind.NUMBER and id(row) not in written]
    needed: dict[str, list[SheetRow]] = {}
    pending = [*outer, *touched, *extra]
    while pending:
        for tag in re.findall(r"\b(?:struct|union)\s+(\w+)", pending.pop().fact.text):
            if tag in sheet.structs and tag not in structs and tag not in needed:
                needed[tag] = list(sheet.structs[tag].rows)
    for row in (*outer, *extra):
        # A bare number binds the struct that is named after its record.
        binding = sheet.binds.get(row.fact.name) if row.fact.kind is Kind.NUMBER else None
        bound = catalogue.layout(binding.layout).struct if binding else ""
        if bound in sheet.structs and bound not in structs:
            needed.setdefault(bound, list(sheet.structs[bound].rows))
    stays = [row for part in needed.values() for row in part]
    # Numbers may be named in what is compiled: X_CODE, or HVM_SAVE_CODE(X).
    text = " ".join(row.fact.text for row in (*outer, *touched, *extra))
    named = set(re.findall(r"\b(\w+)_CODE\b", text))
    symbols = [row for row in symbols if row.fact.name in named]
    return [*constants, *symbols, *stays, *touched, *extra, *outer]


def _to_compile(sheet: Sheet, row: SheetRow, structs: dict[str, list[SheetRow]]) -> bool:
    """Tells whether a row outside of structs needs the compiler: new, symbolic, or changed."""
    fact = row.fact
    if fact.kind is Kind.MAXIMUM:
        return isinstance(fact.value[0], str)
    if fact.kind not in _BINDS:
        return False
    binding = sheet.binds.get(fact.name)
    if row.changed or binding is None or fact.value != (binding.typecode,):
        return True
    return any(
        catalogue.layout(each).struct in structs
        for each in (binding.layout, binding.compat)
        if each
    )


def _places(
    rows: Sequence[SheetRow], place_of: Callable[[SheetRow], Place | None]
) -> list[Place | None]:
    """A place for every row: its own, else the first line that the patch changes in its struct."""
    places = [place_of(row) for row in rows]
    start = None
    depth = 0
    for index, row in enumerate(rows):
        depth += row.fact.deeper
        if row.fact.kind is Kind.OPEN and depth == 1:
            start = index
        elif start is not None and row.fact.kind is Kind.CLOSE and depth == 0:
            block = range(start, index + 1)
            changed = [n for n in block if rows[n].changed and places[n]]
            shown = changed or [n for n in block if places[n]]
            for n in block:
                places[n] = places[n] or (places[shown[0]] if shown else None)
            start = None
    return places


def _of_catalogue(binding: Binding, place: Place) -> HeaderRecord:
    """A record that no patch touches, as the release has it."""
    layout = catalogue.layout(binding.layout)
    old = catalogue.layout(binding.compat) if binding.compat else None
    bare = layout.flexible or binding.load == OWN
    return HeaderRecord(
        name=binding.name,
        typecode=binding.typecode,
        form=DEFINE if bare else COMPAT if old else DECLARE,
        place=place,
        layout=layout,
        x86_32=_narrow(layout),
        compat=old,
        compat_x86_32=_narrow(old) if old else None,
    )


def _narrow(layout: Layout) -> Layout:
    shape = layout.x86_32
    if shape is None:
        return layout
    return layout._replace(size=shape.size, align=shape.align, fields=shape.fields)
