"""The number space that public headers state: records, the largest number, reservations.

The records of xen/include/public/hvm/save.h (all of them in 3.1) and, from 3.2 on, of
arch-x86/hvm/save.h. DECLARE_HVM_SAVE_TYPE(NAME, code, struct) makes a struct
__HVM_SAVE_TYPE_NAME whose member `t` is the record's struct and whose member `c` has `code`
bytes; with __XEN__ defined its _COMPAT form also makes __HVM_SAVE_TYPE_COMPAT_NAME.
"""

from __future__ import annotations

import os
import re

from xensave.catalogue.model import Layout
from xensave.errors import Malformed
from xensave.findings import Place
from xensave.headers.compiled.cindex import STRUCT, Cursor
from xensave.headers.compiled.clang import Unit, compile_headers
from xensave.headers.compiled.constants import Constant, constants
from xensave.headers.compiled.layout import layout_of
from xensave.headers.model import COMPAT, DECLARE, DEFINE, HeaderRecord, HeaderSpace
from xensave.headers.text.comments import reservations
from xensave.headers.trees.tree import DirectoryTree, GitRepository, GitTree, Tree, public_prefix

SAVE_H = "hvm/save.h"
# Some releases use in save.h what they define in xen.h, without including it.
ROOTS = ("xen.h", SAVE_H)
CODE_MAX = "HVM_SAVE_CODE_MAX"
_BOUND = "__HVM_SAVE_TYPE_"
_BOUND_COMPAT = "__HVM_SAVE_TYPE_COMPAT_"
_DEFINE = re.compile(r"(?!HVM_SAVE_)([A-Z][A-Z0-9_]*)_CODE")

_Structs = dict[str, Cursor]


def read_headers(directory: str | os.PathLike[str]) -> HeaderSpace:
    """Return the number space of the public headers in a directory: a Xen tree, or headers.

    Raises Malformed with the compiler's message, file and line for a header that does not
    compile, UsageError where there is no hvm/save.h.
    """
    return read_tree(DirectoryTree(directory))


def read_revision(gitdir: str | os.PathLike[str], revision: str) -> HeaderSpace:
    """Return the number space of the public headers at a revision of a git repository."""
    with GitRepository(gitdir) as repository:
        return read_tree(GitTree(repository, revision))


def read_tree(tree: Tree) -> HeaderSpace:
    """Return the number space of the public headers in a tree."""
    prefix = public_prefix(tree)
    units = {bits: compile_headers(tree, prefix, ROOTS, bits=bits) for bits in (64, 32)}
    structs = {bits: _structs(unit) for bits, unit in units.items()}
    private = _structs(compile_headers(tree, prefix, ROOTS, defines=["__XEN__"]))
    values = constants(tree, prefix, ROOTS, _is_code, unit=units[64])
    records = _declared(units[64], structs, private) + _defined(values, structs)
    maximum = next((value for value in values if value.name == CODE_MAX), None)
    files = {units[64].path(name): text for name, text in units[64].texts.items()}
    return HeaderSpace(
        source=tree.label,
        records=tuple(sorted(records, key=lambda record: (record.code, record.name))),
        code_max=maximum.value if maximum else None,
        code_max_place=maximum.place if maximum else None,
        reservations=tuple(
            reservation
            for path in sorted(files)
            if path.endswith(SAVE_H) and "arch-arm" not in path and "arch-ia64" not in path
            for reservation in reservations(files[path], path)
        ),
    )


def _is_code(name: str) -> bool:
    return name == CODE_MAX or _DEFINE.fullmatch(name) is not None


def _structs(unit: Unit) -> _Structs:
    return {
        cursor.spelling: cursor
        for cursor in unit.unit.cursor.get_children()
        if cursor.kind == STRUCT and cursor.is_definition()
    }


def _declared(unit: Unit, structs: dict[int, _Structs], private: _Structs) -> list[HeaderRecord]:
    records = []
    for name, cursor in structs[64].items():
        if not name.startswith(_BOUND):
            continue
        record = name.removeprefix(_BOUND)
        members = {field.spelling: field for field in cursor.type.get_fields()}
        if "t" not in members or "c" not in members:
            raise Malformed(f"{name} lacks its members t and c", record=record)
        file, line = unit.place(cursor.location)
        compat = _compat_struct(record, private)
        records.append(
            HeaderRecord(
                name=record,
                code=max(members["c"].type.get_size(), 0),
                form=COMPAT if compat else DECLARE,
                place=Place(file=file, line=line),
                layout=layout_of(record, members["t"].type),
                x86_32=_bound(record, structs[32]),
                compat=_named(record, compat, structs[64]),
                compat_x86_32=_named(record, compat, structs[32]),
            )
        )
    return records


def _compat_struct(record: str, private: _Structs) -> str | None:
    """Return the name of the older struct that a _COMPAT form binds, known to Xen alone."""
    binding = private.get(_BOUND + record)
    compat = private.get(_BOUND_COMPAT + record)
    if binding is None or compat is None:
        return None
    sizes = {field.spelling: field.type.get_size() for field in binding.type.get_fields()}
    if sizes.get("cpt", 1) <= 1:
        return None
    member = next(iter(compat.type.get_fields()))
    return str(member.type.get_canonical().get_declaration().spelling)


def _bound(record: str, structs: _Structs) -> Layout | None:
    cursor = structs.get(_BOUND + record)
    if cursor is None:
        return None
    member = next(field for field in cursor.type.get_fields() if field.spelling == "t")
    return layout_of(record, member.type)


def _named(record: str, struct: str | None, structs: _Structs) -> Layout | None:
    return layout_of(record, structs[struct].type) if struct in structs else None


def _defined(values: list[Constant], structs: dict[int, _Structs]) -> list[HeaderRecord]:
    records = []
    for value in values:
        match = _DEFINE.fullmatch(value.name)
        if match is None:
            continue
        name = match[1]
        records.append(
            HeaderRecord(
                name=name,
                code=value.value,
                form=DEFINE,
                place=value.place,
                layout=_named_after(name, structs[64]),
                x86_32=_named_after(name, structs[32]),
            )
        )
    return records


def _named_after(record: str, structs: _Structs) -> Layout | None:
    """Return the struct named after a record: hvm_hw_cpu_xsave for CPU_XSAVE, hvm_msr for CPU_MSR.

    A record without DECLARE_HVM_SAVE_TYPE is one whose length varies: data may follow the struct.
    """
    name = record.lower()
    for stem in (name, name.removeprefix("cpu_")):
        for candidate in (f"hvm_hw_{stem}", f"hvm_{stem}", f"hvm_{stem}_context"):
            if candidate in structs:
                return layout_of(record, structs[candidate].type, open_ended=True)
    return None
