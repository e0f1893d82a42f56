"""Compile headers with libclang, from memory: no system header and no temporary file is used.

The headers, and what they include from their own tree, are given to libclang as unsaved files.
A short prelude stands in for the integer types of <stdint.h> and the few things that Xen's
private headers define for the public ones.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from xensave.errors import Malformed, UsageError
from xensave.headers.compiled.cindex import ERROR, Location, TranslationUnit, parse
from xensave.headers.trees.tree import Tree

ROOT = "/tree/"
STUBS = "/stubs/"
MAIN = ROOT + "main.c"

TARGETS = {64: "x86_64-linux-gnu", 32: "i386-linux-gnu"}

PRELUDE = """
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __SIZE_TYPE__ size_t;
typedef unsigned char bool_t;
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define NULL ((void *)0)
#define INT64_C(c) c##LL
#define UINT64_C(c) c##ULL
#define BITS_PER_LONG (8 * __SIZEOF_LONG__)
#define DECLARE_BITMAP(name, bits) \\
    unsigned long name[((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG]
#define BUG() ((void)0)
"""
# What Xen's own build finds elsewhere; empty, for the prelude defines what is needed of it.
STUB_NAMES = (
    "stdint.h", "stddef.h", "stdbool.h", "inttypes.h", "string.h", "stdio.h", "stdlib.h",
    "sys/types.h", "limits.h", "errno.h", "assert.h", "xen/lib.h", "xen/bug.h", "xen/types.h",
)  # fmt: skip
MOST_NAMES = 2000
XEN_H = "#define XEN_FLEX_ARRAY_DIM\n"

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


class Unit:
    """A translation unit of headers for one ABI, and where its files lie in the tree."""

    def __init__(self, unit: TranslationUnit, prefix: str, texts: dict[str, str]) -> None:
        self.unit = unit
        self.prefix = prefix
        self.texts = texts

    def place(self, location: Location) -> tuple[str, int]:
        """Return the file, as a path of the tree, and the line of a location."""
        name = location.file.name if location.file else MAIN
        return self.path(name), int(location.line)

    def path(self, name: str) -> str:
        """Return the tree's path of a file that libclang names."""
        if not name.startswith(ROOT) or name == MAIN:
            return posixpath.basename(name)
        return self.prefix + posixpath.normpath(name).removeprefix(ROOT)


def gather(tree: Tree, prefix: str, roots: Iterable[str]) -> dict[str, str]:
    """Return the headers and what they include, by the names that libclang will ask for.

    A header included as "../xen.h" from /tree/hvm/save.h is asked for as /tree/hvm/../xen.h.
    """
    texts: dict[str, str] = {}
    known: dict[str, str | None] = {}
    pending = [(ROOT + root, frozenset[str]()) for root in roots]
    while pending:
        name, chain = pending.pop()
        path = posixpath.normpath(name)
        if name in texts or not path.startswith(ROOT):
            continue
        if path not in known:
            known[path] = tree.read(prefix + path.removeprefix(ROOT))
        text = known[path]
        if text is None and posixpath.basename(path) == "xen.h":
            text = XEN_H
        if text is None:
            continue
        texts[name] = text
        if len(texts) > MOST_NAMES:
            raise Malformed(f"{tree.label}: {prefix}{path.removeprefix(ROOT)}: too many includes")
        if path not in chain:
            folder = posixpath.dirname(name)
            chain = chain | {path}
            pending += [(f"{folder}/{include}", chain) for include in _INCLUDE.findall(text)]
    return texts


def compile_headers(
    tree: Tree,
    prefix: str,
    roots: Iterable[str],
    *,
    bits: int = 64,
    defines: Iterable[str] = (),
    tail: str = "",
    tolerate_tail: bool = False,
) -> Unit:
    """Compile the headers `roots`, with the text `tail` after them, for a 64 or 32-bit x86.

    Raises Malformed with the compiler's message, file and line for the first error. With
    `tolerate_tail`, errors in `tail` itself are left to the caller.
    """
    roots = list(roots)
    texts = gather(tree, prefix, roots)
    for root in roots:
        if ROOT + root not in texts:
            raise UsageError(f"{tree.label}: no such header: {prefix}{root}")
    main = "".join(f'#include "{root}"\n' for root in roots) + tail
    files = [(MAIN, main), (STUBS + "prelude.h", PRELUDE), *texts.items()]
    files += [(STUBS + name, "") for name in STUB_NAMES]
    args = ["-target", TARGETS[bits], "-std=gnu11", "-nostdinc", "-nobuiltininc", "-w"]
    args += ["-ferror-limit=0", f"-isystem{STUBS}", "-include", f"{STUBS}prelude.h"]
    args += [f"-D{define}" for define in defines]
    try:
        parsed = parse(MAIN, args, files)
    except ValueError as error:
        raise Malformed(f"{tree.label}: libclang cannot parse its headers") from error
    unit = Unit(parsed, prefix, texts)
    _refuse_errors(unit, tree, tail_from=len(roots) + 1 if tolerate_tail else None)
    _refuse_strays(unit, tree, {name for name, _ in files})
    return unit


def _refuse_errors(unit: Unit, tree: Tree, tail_from: int | None) -> None:
    for diagnostic in unit.unit.diagnostics:
        if diagnostic.severity < ERROR:
            continue
        location = diagnostic.location
        in_main = location.file is not None and location.file.name == MAIN
        if in_main and tail_from is not None and location.line >= tail_from:
            continue
        path, line = unit.place(location)
        raise Malformed(f"{tree.label}: {path}:{line}: {diagnostic.spelling}")


def _refuse_strays(unit: Unit, tree: Tree, given: set[str]) -> None:
    for inclusion in unit.unit.get_includes():
        name = inclusion.include.name
        if name not in given and posixpath.normpath(name) not in given:
            path, line = unit.place(inclusion.location)
            raise Malformed(f"{tree.label}: {path}:{line}: includes {name}, outside the tree")
