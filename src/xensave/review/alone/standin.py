"""What stands in for a release's headers: its layouts and numbers as facts, row by row.

Where a patch comes without a tree, the release it fits is what it is applied to. Xen's own text
is not at hand, so that each row is known by the fact it states; its C is written when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from xensave import catalogue
from xensave.catalogue.model import OWN, Binding, Field, Layout, Release
from xensave.container.streams import hvm
from xensave.findings import Place
from xensave.headers.text.comments import comment_of
from xensave.review.alone.facts import HeaderFact, Key, Kind
from xensave.review.patches.patch import CONTEXT, REMOVED, LineKind

PROLOGUE = """\
typedef unsigned long xen_ulong_t;
typedef uint16_t domid_t;
#define XEN_FLEX_ARRAY_DIM
#define DECLARE_HVM_SAVE_TYPE(_name, _code, _type) \\
    struct __HVM_SAVE_TYPE_##_name { _type t; char c[_code]; char cpt[1]; }
#ifdef __XEN__
#define DECLARE_HVM_SAVE_TYPE_COMPAT(_name, _code, _type, _old, _fix) \\
    struct __HVM_SAVE_TYPE_##_name { _type t; char c[_code]; char cpt[2]; }; \\
    struct __HVM_SAVE_TYPE_COMPAT_##_name { _old t; }
#else
#define DECLARE_HVM_SAVE_TYPE_COMPAT(_name, _code, _type, _old, _fix) \\
    DECLARE_HVM_SAVE_TYPE(_name, _code, _type)
#endif
#define HVM_SAVE_TYPE(_x) __typeof__ (((struct __HVM_SAVE_TYPE_##_x *)(0))->t)
#define HVM_SAVE_LENGTH(_x) (sizeof (HVM_SAVE_TYPE(_x)))
#define HVM_SAVE_CODE(_x) (sizeof (((struct __HVM_SAVE_TYPE_##_x *)(0))->c))
"""
# Since 3.1 (xen/include/public/hvm/save.h, arch-x86/hvm/save.h), never changed.
DESCRIPTOR = Layout("descriptor", "", "hvm_save_descriptor", 8, 4, (
    Field("typecode", "uint16_t", 0, 2),
    Field("instance", "uint16_t", 2, 2),
    Field("length", "uint32_t", 4, 4),
))  # fmt: skip
FRAME = {"HVM_FILE_MAGIC": hvm.HEADER_MAGIC, "HVM_FILE_VERSION": hvm.HEADER_VERSION}
_KNOWN = re.compile(
    r"u?int(8|16|32|64)_t|(unsigned |signed )?(char|short|int|long|long long)|uintptr_t|size_t"
)


@dataclass(slots=True)
class SheetRow:
    """A row: its fact, where the patch shows it, and what the patch does to it."""

    fact: HeaderFact
    kind: LineKind = CONTEXT
    old: Place | None = None
    new: Place | None = None

    @property
    def changed(self) -> bool:
        """Whether the patch removes or adds it."""
        return self.kind != CONTEXT


@dataclass(slots=True)
class SheetStruct:
    """A struct of the release, `layout` as the catalogue has it, with its rows."""

    layout: Layout
    rows: list[SheetRow]

    @property
    def touched(self) -> bool:
        """Whether the patch changes it."""
        return any(row.changed for row in self.rows)


@dataclass(slots=True)
class Sheet:
    """A release's structs by their tags, and the rows outside of them; `binds` tells each record.

    `extra` are rows of C that a patch adds outside of the release's structs.
    """

    release: Release
    structs: dict[str, SheetStruct]
    outer: list[SheetRow]
    binds: dict[str, Binding] = field(default_factory=dict)
    extra: list[SheetRow] = field(default_factory=list)
    _outer_index: dict[Key, list[SheetRow]] | None = None
    _extra_index: dict[Key, list[SheetRow]] | None = None

    def settled(self) -> Sheet:
        """Returns the sheet for the next patch: removed rows are gone, added ones like any other.

        Rows that no patch has touched are shared.
        """
        structs = {
            tag: SheetStruct(struct.layout, _settled(struct.rows)) if struct.touched else struct
            for tag, struct in self.structs.items()
        }
        return Sheet(self.release, structs, _settled(self.outer), self.binds, _settled(self.extra))

    def staying(self, fact: HeaderFact) -> SheetRow | None:
        """Returns the first row outside of structs that states a fact and is not changed."""
        row = self.staying_outside(fact)
        if row is None:
            # What is added to `extra` later does not stay, it comes.
            self._extra_index = self._extra_index or _indexed(self.extra)
            row = _first(self._extra_index, fact)
        return row

    def staying_outside(self, fact: HeaderFact) -> SheetRow | None:
        """Returns the same among `outer` alone."""
        self._outer_index = self._outer_index or _indexed(self.outer)
        return _first(self._outer_index, fact)

    def add(self, row: SheetRow) -> None:
        """Adds a row outside of structs that is no C of the patch's alone."""
        self.outer.append(row)
        if self._outer_index:
            self._outer_index.setdefault(row.fact.key, []).append(row)

    def replace_extra(self, rows: list[SheetRow]) -> None:
        """Puts other rows in the place of `extra`."""
        self.extra[:] = rows
        self._extra_index = None


def _settled(rows: list[SheetRow]) -> list[SheetRow]:
    return [SheetRow(row.fact) for row in rows if row.kind != REMOVED]


def _indexed(rows: list[SheetRow]) -> dict[Key, list[SheetRow]]:
    index: dict[Key, list[SheetRow]] = {}
    for row in rows:
        index.setdefault(row.fact.key, []).append(row)
    return index


def _first(index: dict[Key, list[SheetRow]], fact: HeaderFact) -> SheetRow | None:
    rows = index.get(fact.key, [])
    while rows and rows[0].changed:
        # A row that is changed stays so.
        rows.pop(0)
    return rows[0] if rows else None


def standin(release: Release) -> Sheet:
    """Returns the rows of a release."""
    sheet = Sheet(release, {}, [])
    for binding in release.bindings:
        layout = catalogue.layout(binding.layout)
        old = catalogue.layout(binding.compat) if binding.compat else None
        for each in (layout, old):
            if each is not None and each.struct not in sheet.structs:
                sheet.structs[each.struct] = SheetStruct(
                    each, list(map(SheetRow, struct_facts(each)))
                )
        sheet.binds[binding.name] = binding
        sheet.outer.append(SheetRow(_bound(binding, layout, old)))
    sheet.structs[DESCRIPTOR.struct] = SheetStruct(
        DESCRIPTOR, list(map(SheetRow, struct_facts(DESCRIPTOR)))
    )
    for reservation in release.reservations:
        text = comment_of(reservation)
        value = (reservation.first, reservation.last)
        sheet.outer.append(
            SheetRow(HeaderFact(Kind.RESERVE, reservation.owner.casefold(), value, text))
        )
    for name, number in FRAME.items():
        sheet.outer.append(
            SheetRow(HeaderFact(Kind.FRAME, name, (number,), f"#define {name} {number:#x}"))
        )
    most = "HVM_SAVE_CODE_MAX"
    text = f"#define {most} {release.code_max}"
    sheet.outer.append(SheetRow(HeaderFact(Kind.MAXIMUM, most, (release.code_max,), text)))
    return sheet


@cache
def struct_facts(layout: Layout) -> tuple[HeaderFact, ...]:
    """Returns the facts of a struct, one for each line of its declaration."""
    struct = layout.struct
    return (
        HeaderFact(Kind.OPEN, struct, (), f"struct {struct} {{", outer=True),
        *_members(layout.fields, {struct}),
        HeaderFact(Kind.CLOSE, "", (), "};", outer=True),
    )


def _bound(binding: Binding, layout: Layout, old: Layout | None) -> HeaderFact:
    """A record whose length varies is bound by a bare number, as CPU_XSAVE and CPU_MSR are."""
    name, code = binding.name, binding.typecode
    if layout.flexible or binding.load == OWN:
        return HeaderFact(Kind.NUMBER, name, (code,), f"#define {name}_CODE {code}")
    native = f"{name}, {code}, struct {layout.struct}"
    text = f"DECLARE_HVM_SAVE_TYPE({native});"
    if old is not None:
        text = f"DECLARE_HVM_SAVE_TYPE_COMPAT({native}, struct {old.struct}, _fix);"
    return HeaderFact(Kind.DECLARE, name, (code,), text)


def _members(fields: tuple[Field, ...], written: set[str]) -> Iterator[HeaderFact]:
    for member in fields:
        dims = "".join(f"[{n}]" for n in member.dims)
        if member.fields:
            kind = "union" if member.union else "struct"
            tag = _tag(member)
            # A tag is written once; a second use of it is laid out the same without one.
            shown = "" if tag in written else tag
            written.add(tag)
            yield HeaderFact(Kind.OPEN, tag, (), f"{kind} {shown} {{".replace("  ", " "))
            yield from _members(member.fields, written)
            text = f"}} {member.name}{dims};".replace(" ;", ";")
            yield HeaderFact(Kind.CLOSE, member.name, (), text)
        else:
            bits = f":{member.bits[1]}" if member.bits else ""
            text = f"{_type(member)} {member.name}{dims}{bits};"
            yield HeaderFact(Kind.MEMBER, member.name, (), text)


def _tag(member: Field) -> str:
    tag = member.type.removeprefix("struct").removeprefix("union").strip()
    return tag if re.fullmatch(r"\w+", tag) else ""


def _type(member: Field) -> str:
    if _KNOWN.fullmatch(member.type):
        return member.type
    count = 1
    for n in member.dims:
        count *= n
    size = member.size // count if count else 1
    return f"uint{8 * size}_t" if size in (1, 2, 4, 8) else "uint8_t"
