"""The number space that public headers state: records, the largest number, reservations.

The records of xen/include/public/hvm/save.h (all of them in 3.1) and, from 3.2 on, of
arch-x86/hvm/save.h. DECLARE_HVM_SAVE_TYPE(NAME, code, struct) makes a struct
__HVM_SAVE_TYPE_NAME whose member `t` is the record's struct and whose member `c` has `code`
bytes; with __XEN__ defined its _COMPAT form also makes __HVM_SAVE_TYPE_COMPAT_NAME.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from xensave.catalogue.model import Layout
from xensave.errors import Malformed
from xensave.headers.compiled.clang import Constant, Unit, compile_headers
from xensave.headers.compiled.layout import CompiledStruct, canonical_types, layout_of
from xensave.headers.model import COMPAT, DECLARE, DEFINE, Frame, HeaderRecord, HeaderSpace
from xensave.headers.text.comments import reservations
from xensave.headers.text.ctext import without_comments
from xensave.headers.trees.tree import Tree, public_prefix

SAVE_H = "hvm/save.h"
# Some releases use in save.h what they define in xen.h, without including it.
ROOTS = ("xen.h", SAVE_H)
CODE_MAX = "HVM_SAVE_CODE_MAX"
_BOUND = "__HVM_SAVE_TYPE_"
_BOUND_COMPAT = "__HVM_SAVE_TYPE_COMPAT_"
DESCRIPTOR, MAGIC, VERSION = "hvm_save_descriptor", "HVM_FILE_MAGIC", "HVM_FILE_VERSION"
_DEFINE = re.compile(r"(?!HVM_SAVE_)([A-Z][A-Z0-9_]*)_CODE")
_CONSTANTS = f"{CODE_MAX}|{MAGIC}|{VERSION}|{_DEFINE.pattern}"
_STRUCTS = f"{_BOUND}.*|hvm_.*"

# Who alone sees a record: `only` of a HeaderRecord.
HYPERVISOR, TOOLS, CHOICE = "the hypervisor", "its tools", "who chooses it"
_CONDITION = re.compile(
    r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b((?:[^\n\\]|\\.|\\\n)*)", re.MULTILINE
)
_DEFINED = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
# Neither the compiler's own names nor words of a condition; ia64's header defined the last one.
_NO_CHOICE = re.compile(r"__\w*|defined|VIOAPIC_IS_IOSAPIC")

_Structs = Mapping[str, CompiledStruct]


class _Views(NamedTuple):
    """The structs as each reader compiles them: a guest's tools of 64 and 32 bits, Xen, its tools.

    `tools` is None where no header asks whether it is compiled for them, `chosen` and
    `chosen_narrow` where none asks for a macro that who builds may define.
    """

    public: _Structs
    narrow: _Structs
    xen: _Structs
    tools: _Structs | None
    chosen: _Structs | None
    chosen_narrow: _Structs | None

    @property
    def whole(self) -> dict[str, tuple[CompiledStruct, str]]:
        """Every struct, and who sees it where not everyone does."""
        structs = {name: (struct, "") for name, struct in self.public.items()}
        for view, whose in ((self.chosen, CHOICE), (self.tools, TOOLS), (self.xen, HYPERVISOR)):
            for name, struct in (view or {}).items():
                structs.setdefault(name, (struct, whose))
        return structs

    def narrow_of(self, name: str) -> Layout | None:
        """Returns a struct as a 32-bit compiler lays it out, with what may be chosen if needed."""
        struct_layout = _struct_layout(name, self.narrow)
        if struct_layout is None and self.chosen_narrow is not None and name not in self.public:
            struct_layout = _struct_layout(name, self.chosen_narrow)
        return struct_layout

    def completed(self, record: HeaderRecord, name: str) -> HeaderRecord:
        """Returns a record with its struct as others see it, None for who sees it as everyone."""
        xen, tools, chosen = (
            None if _same(layout, record.layout) else layout
            for layout in (
                None if view is None else _struct_layout(name, view)
                for view in (self.xen, self.tools, self.chosen)
            )
        )
        return replace(record, xen=xen, tools=tools, chosen=chosen)


def _same(layout: Layout | None, other: Layout | None) -> bool:
    if layout is None or other is None:
        return True
    return (layout.size, layout.fields) == (other.size, other.fields)


def read_tree(tree: Tree) -> HeaderSpace:
    """Returns the number space of the public headers in a tree: Xen's, or headers alone.

    Raises Malformed with the compiler's message, file and line for a header that does not
    compile, UsageError where there is no hvm/save.h.
    """
    prefix = public_prefix(tree)
    private = compile_headers(
        tree, prefix, ROOTS, defines=["__XEN__"], structs=_STRUCTS, constants=_CONSTANTS
    )
    xen = private.structs
    # Only Xen's view tells which older structs are bound; the others must then show them.
    older = {_compat_struct(name.removeprefix(_BOUND), xen) for name in xen} - {None}
    wanted = "|".join((_STRUCTS, *(re.escape(name) for name in older if name)))
    unit = compile_headers(tree, prefix, ROOTS, structs=wanted, constants=_CONSTANTS)
    choices = _choices(unit.texts)
    chosen = _chosen(tree, prefix, wanted, choices)
    views = _views(tree, prefix, unit, xen, wanted, choices, chosen)
    every = [*unit.constants, *(chosen.constants if chosen else ()), *private.constants]
    constants = {constant.name: constant for constant in reversed(every)}
    records = _declared(views) + _defined(constants.values(), views)
    bounds = [constant for constant in every if constant.name == CODE_MAX]
    maximum = max(bounds, key=lambda constant: constant.value, default=None)
    return HeaderSpace(
        source=tree.label,
        records=tuple(sorted(records, key=lambda record: (record.typecode, record.name))),
        code_max=maximum.value if maximum else None,
        code_max_place=maximum.place if maximum else None,
        reservations=tuple(
            reservation
            for path in sorted(unit.texts)
            if path.endswith(SAVE_H) and "arch-arm" not in path and "arch-ia64" not in path
            for reservation in reservations(unit.texts[path], path)
        ),
        frame=_frame(views.public, constants),
        files=frozenset(unit.texts),
        choices=choices,
    )


def _chosen(tree: Tree, prefix: str, wanted: str, choices: tuple[str, ...]) -> Unit | None:
    """The headers with every macro defined that they leave to choose."""
    if not choices:
        return None
    try:
        return compile_headers(
            tree, prefix, ROOTS, defines=choices, structs=wanted, constants=_CONSTANTS
        )
    except Malformed as error:
        shown = ", ".join(choices[:4]) + (", ..." if len(choices) > 4 else "")
        raise error.reworded(f"{error.message} (with {shown} defined)") from error


def _choices(texts: Mapping[str, str]) -> tuple[str, ...]:
    """The macros that save headers ask for and that no header defines: CONFIG_X."""
    asked: dict[str, None] = {}
    for text in texts.values():
        if "HVM_SAVE" in text:
            for match in _CONDITION.finditer(without_comments(text)):
                asked |= dict.fromkeys(re.findall(r"\b[A-Za-z_]\w*", match[1]))
    known = {name for text in texts.values() for name in _DEFINED.findall(text)}
    return tuple(name for name in asked if name not in known and not _NO_CHOICE.fullmatch(name))


def _views(  # noqa: PLR0917 - what each view needs
    tree: Tree, prefix: str, unit: Unit, xen: _Structs, wanted: str,
    choices: tuple[str, ...], chosen: Unit | None,
) -> _Views:  # fmt: skip
    def view(bits: int, *defines: str) -> _Structs:
        return compile_headers(
            tree, prefix, ROOTS, bits=bits, defines=defines, structs=wanted
        ).structs

    asks = any("__XEN_TOOLS__" in text for text in unit.texts.values())
    return _Views(
        public=unit.structs,
        narrow=view(32),
        xen=xen,
        tools=view(64, "__XEN_TOOLS__") if asks else None,
        chosen=chosen.structs if chosen else None,
        chosen_narrow=view(32, *choices) if chosen else None,
    )


def _frame(structs: _Structs, constants: Mapping[str, Constant]) -> Frame:
    descriptor = structs.get(DESCRIPTOR)
    return Frame(
        layout_of("descriptor", descriptor) if descriptor else None,
        descriptor.place if descriptor else None,
        {
            name: (constants[name].value, constants[name].place)
            for name in (MAGIC, VERSION)
            if name in constants
        },
    )


def _declared(views: _Views) -> list[HeaderRecord]:
    records = []
    for name, (struct, only) in views.whole.items():
        if not name.startswith(_BOUND) or name.startswith(_BOUND_COMPAT):
            continue
        record = name.removeprefix(_BOUND)
        bound, code = struct.member("t"), struct.field("c")
        if bound is None or code is None:
            raise Malformed(f"{name} lacks its members t and c", record=record)
        compat = _compat_struct(record, views.xen)
        made = HeaderRecord(
            name=record,
            typecode=code.size,
            form=COMPAT if compat else DECLARE,
            place=struct.place,
            layout=layout_of(record, bound),
            x86_32=views.narrow_of(name),
            compat=_named(record, compat, views.public),
            compat_x86_32=_named(record, compat, views.narrow),
            only=only,
            types=dict(canonical_types(bound)),
        )
        records.append(views.completed(made, name))
    return records


def _struct_layout(name: str, structs: _Structs) -> Layout | None:
    """The layout of a bound record's struct, or of a struct by its own name."""
    struct = structs.get(name)
    if struct is None or not name.startswith(_BOUND):
        return None if struct is None else layout_of(name, struct)
    bound = struct.member("t")
    return None if bound is None else layout_of(name.removeprefix(_BOUND), bound)


def _compat_struct(record: str, xen: _Structs) -> str | None:
    """Returns the name of the older struct that a _COMPAT form binds, known to Xen alone."""
    binding = xen.get(_BOUND + record)
    compat = xen.get(_BOUND_COMPAT + record)
    mark = binding.field("cpt") if binding else None
    if compat is None or mark is None or mark.size <= 1:
        return None
    older = compat.member("t")
    return older.name if older else None


def _named(record: str, struct: str | None, structs: _Structs) -> Layout | None:
    return layout_of(record, structs[struct]) if struct and struct in structs else None


def _defined(constants: Iterable[Constant], views: _Views) -> list[HeaderRecord]:
    records = []
    for constant in constants:
        match = _DEFINE.fullmatch(constant.name)
        if match is None:
            continue
        name = match[1]
        struct = _named_after(name, views.public)
        narrow = _named_after(name, views.narrow)
        made = HeaderRecord(
            name=name,
            typecode=constant.value,
            form=DEFINE,
            place=constant.place,
            layout=layout_of(name, struct, open_ended=True) if struct else None,
            x86_32=layout_of(name, narrow, open_ended=True) if narrow else None,
            types=dict(canonical_types(struct)) if struct else {},
        )
        records.append(views.completed(made, struct.name if struct else ""))
    return records


def _named_after(record: str, structs: _Structs) -> CompiledStruct | None:
    """Returns the struct named after a record: hvm_hw_cpu_xsave for CPU_XSAVE, hvm_msr for CPU_MSR.

    A record without DECLARE_HVM_SAVE_TYPE is one whose length varies: data may follow the struct.
    """
    name = record.lower()
    for stem in (name, name.removeprefix("cpu_")):
        for candidate in (f"hvm_hw_{stem}", f"hvm_{stem}", f"hvm_{stem}_context"):
            if candidate in structs:
                return structs[candidate]
    return None
