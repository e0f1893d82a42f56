"""libclang's Python bindings, with the few types that the headers' reader needs of them."""

# ruff: noqa: D102 - what these methods do is libclang's documentation
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from xensave.errors import MissingExtra

try:
    import clang.cindex as ci
except ImportError as error:
    raise MissingExtra("reading C headers", "libclang", "headers") from error


class File(Protocol):
    """A file as libclang names it."""

    name: str


class Location(Protocol):
    """A place in a file; a macro's expansion is where the macro is used."""

    file: File | None
    line: int


class Type(Protocol):
    """A C type."""

    kind: object
    spelling: str
    element_type: Type
    element_count: int

    def get_canonical(self) -> Type: ...
    def get_named_type(self) -> Type: ...
    def get_declaration(self) -> Cursor: ...
    def get_fields(self) -> Iterable[Cursor]: ...
    def get_size(self) -> int: ...
    def get_align(self) -> int: ...


class Cursor(Protocol):
    """A declaration, a macro definition, an enumerator."""

    kind: object
    spelling: str
    location: Location
    type: Type
    enum_value: int
    hash: int

    def is_definition(self) -> bool: ...
    def is_bitfield(self) -> bool: ...
    def get_bitfield_width(self) -> int: ...
    def get_field_offsetof(self) -> int: ...
    def get_children(self) -> Iterable[Cursor]: ...
    def walk_preorder(self) -> Iterator[Cursor]: ...


class Diagnostic(Protocol):
    """What the compiler says."""

    severity: int
    spelling: str
    location: Location


class Inclusion(Protocol):
    """One file's inclusion by another."""

    include: File
    location: Location


class TranslationUnit(Protocol):
    """A parsed file with all that it includes."""

    cursor: Cursor
    diagnostics: Iterable[Diagnostic]

    def get_includes(self) -> Iterable[Inclusion]: ...


ERROR: int = ci.Diagnostic.Error
STRUCT: object = ci.CursorKind.STRUCT_DECL
UNION: object = ci.CursorKind.UNION_DECL
ENUM: object = ci.CursorKind.ENUM_DECL
ENUMERATOR: object = ci.CursorKind.ENUM_CONSTANT_DECL
MACRO: object = ci.CursorKind.MACRO_DEFINITION
RECORD_TYPE: object = ci.TypeKind.RECORD
ELABORATED_TYPE: object = ci.TypeKind.ELABORATED
FIXED_ARRAY: object = ci.TypeKind.CONSTANTARRAY
ARRAYS: tuple[object, ...] = (FIXED_ARRAY, ci.TypeKind.INCOMPLETEARRAY, ci.TypeKind.VARIABLEARRAY)


class ClangIndex:
    """libclang, loaded: it parses files that are given as text."""

    def __init__(self) -> None:
        self._index = ci.Index.create()

    def parse(self, main: str, args: Sequence[str], files: Mapping[str, str]) -> TranslationUnit:
        """Parses a file given, like all that it may include, as text; keeps its macros.

        Raises ValueError where libclang gives no translation unit at all.
        """
        options = ci.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
        try:
            unit: TranslationUnit = self._index.parse(
                main, list(args), unsaved_files=list(files.items()), options=options
            )
        except ci.TranslationUnitLoadError as error:
            raise ValueError(str(error)) from error
        return unit


def load() -> ClangIndex:
    """Loads libclang, its parser included, by a parse of nothing."""
    index = ClangIndex()
    index.parse("nothing.c", [], {"nothing.c": ""})
    return index
