"""A header that stands in for a release's: the catalogue's layouts and numbers, written as C.

Where a patch comes without a tree, the release it fits is what it is applied to. Xen's own text
is not at hand, so its facts are written anew, one to a line, each line known by the fact it states.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from xensave.catalogue.model import OWN, Binding, Field, Layout, Release

PROLOGUE = """\
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
"""
_KNOWN = re.compile(
    r"u?int(8|16|32|64)_t|(unsigned |signed )?(char|short|int|long|long long)|uintptr_t|size_t"
)


def standin(release: Release, layouts: Mapping[str, Layout]) -> list[str]:
    """The lines of the stand-in, without its prologue. `layouts` are the release's, by id."""
    written: set[str] = set()
    lines: list[str] = []
    for binding in release.bindings:
        layout = layouts[binding.layout]
        old = layouts.get(binding.compat) if binding.compat else None
        for each in (layout, old):
            if each is not None and each.struct not in written:
                written.add(each.struct)
                lines += _struct(each, written)
        lines.append(_binding(binding, layout, old))
    lines += [
        f"/* Range {kept.first} - {kept.last} (inclusive) reserved for {kept.owner} */"
        for kept in release.reservations
    ]
    return [*lines, f"#define HVM_SAVE_CODE_MAX {release.code_max}"]


def _binding(binding: Binding, layout: Layout, old: Layout | None) -> str:
    """A record whose length varies is bound by a bare number, as CPU_XSAVE and CPU_MSR are."""
    if layout.flexible or binding.load == OWN:
        return f"#define {binding.name}_CODE {binding.code}"
    native = f"{binding.name}, {binding.code}, struct {layout.struct}"
    if old is None:
        return f"DECLARE_HVM_SAVE_TYPE({native});"
    return f"DECLARE_HVM_SAVE_TYPE_COMPAT({native}, struct {old.struct}, _fix);"


def _struct(layout: Layout, written: set[str]) -> Iterator[str]:
    yield f"struct {layout.struct} {{"
    yield from _members(layout.fields, written)
    yield "};"


def _members(fields: tuple[Field, ...], written: set[str]) -> Iterator[str]:
    for field in fields:
        dims = "".join(f"[{n}]" for n in field.dims)
        if field.fields:
            yield f"    {_opening(field, written)}"
            yield from _members(field.fields, written)
            yield f"    }} {field.name}{dims};".replace(" ;", ";")
        else:
            bits = f":{field.bits[1]}" if field.bits else ""
            yield f"    {_type(field)} {field.name}{dims}{bits};"


def _opening(field: Field, written: set[str]) -> str:
    """A struct's tag is written once; a second use of it is laid out the same without one."""
    kind = "union" if field.union else "struct"
    tag = field.type.removeprefix("struct").removeprefix("union").strip()
    if not re.fullmatch(r"\w+", tag) or tag in written:
        return f"{kind} {{"
    written.add(tag)
    return f"{kind} {tag} {{"


def _type(field: Field) -> str:
    if _KNOWN.fullmatch(field.type):
        return field.type
    count = 1
    for n in field.dims:
        count *= n
    size = field.size // count if count else 1
    return f"uint{8 * size}_t" if size in (1, 2, 4, 8) else "uint8_t"
