"""Compile headers with libclang, from memory: no system header and no temporary file is used.

The headers, and what they include from their own tree, are given to a parsing process as text.
A short prelude stands in for the integer types of <stdint.h> and the few things that Xen's
private headers define for the public ones.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple

from xensave.errors import LimitExceeded, Malformed, UsageError
from xensave.findings import Place
from xensave.headers.compiled import job as jobs
from xensave.headers.compiled.child import ask
from xensave.headers.compiled.layout import CompiledStruct, structs_of
from xensave.headers.compiled.limits import TEXT
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
    "sys/types.h", "limits.h", "errno.h", "assert.h", "endian.h",
    "xen/lib.h", "xen/bug.h", "xen/types.h",
)  # fmt: skip
# A header could ask by these what files the machine has.
_CURIOUS = ("__has_include", "__has_include_next")
MOST_NAMES = 2000
XEN_H = "#define XEN_FLEX_ARRAY_DIM\n"

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


class Constant(NamedTuple):
    """A macro or enumerator with an integer value."""

    name: str
    value: int
    place: Place


class Unit(NamedTuple):
    """What headers give for one ABI: the structs and constants wanted, and the texts by path."""

    structs: dict[str, CompiledStruct]
    constants: list[Constant]
    texts: dict[str, str]


def gather(tree: Tree, prefix: str, roots: Iterable[str]) -> dict[str, str]:
    """Returns the headers and what they include, by the names that libclang will ask for.

    A header included as "../xen.h" from /tree/hvm/save.h is asked for as /tree/hvm/../xen.h.

    Raises LimitExceeded for too many includes, and too long ones.
    """
    texts: dict[str, str] = {}
    known: dict[str, str | None] = {}
    total = 0
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
        total += len(text)
        if len(texts) > MOST_NAMES or total > TEXT:
            where = f"{tree.label}: {prefix}{path.removeprefix(ROOT)}"
            raise LimitExceeded(f"{where}: too many includes, or too long ones")
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
    structs: str = "",
    constants: str = "",
) -> Unit:
    """Compiles the headers `roots` for a 64 or 32-bit x86.

    `structs` and `constants` are patterns of the names wanted. Raises Malformed with the
    compiler's message, file and line for the first error, and where a header includes what the
    tree does not hold; LimitExceeded above the limits of xensave.headers.compiled.limits.

    Raises UsageError for a header that is not in the tree.
    """
    roots = list(roots)
    texts = gather(tree, prefix, roots)
    for root in roots:
        if ROOT + root not in texts:
            raise UsageError(f"{tree.label}: no such header: {prefix}{root}")
    main = "".join(f'#include "{root}"\n' for root in roots)
    files = {MAIN: main, f"{STUBS}prelude.h": PRELUDE, **texts}
    files |= {STUBS + name: "" for name in STUB_NAMES}
    args = ["-target", TARGETS[bits], "-std=gnu11", "-nostdinc", "-nobuiltininc", "-w"]
    args += ["-ferror-limit=0", f"-isystem{STUBS}", "-include", f"{STUBS}prelude.h"]
    args += [f"-D{define}" for define in defines] + [f"-U{name}" for name in _CURIOUS]
    job = jobs.Job(main=MAIN, args=args, files=files, structs=structs, constants=constants)
    answer = ask(job, tree.label)
    _refuse(answer, tree, prefix)
    return Unit(
        structs={
            name: struct._replace(place=_place(prefix, struct.place))
            for name, struct in structs_of(answer, tree.label).items()
        },
        constants=[
            Constant(name, value, _place(prefix, Place(file=place[0], line=place[1])))
            for name, value, place in answer["constants"]
        ],
        texts={path_of(prefix, name): text for name, text in texts.items()},
    )


def path_of(prefix: str, name: str) -> str:
    """Returns the tree's path of a file that libclang names."""
    if not name.startswith(ROOT) or name == MAIN:
        return posixpath.basename(name)
    return prefix + posixpath.normpath(name).removeprefix(ROOT)


def _place(prefix: str, place: Place) -> Place:
    return place._replace(file=path_of(prefix, place.file or ""))


def _refuse(answer: jobs.ParserAnswer, tree: Tree, prefix: str) -> None:
    """Raises the first error.

    Where a file was not found, the sentence is ours, not the system's.
    """
    if answer["error"]:
        file, line, text = answer["error"]
        missing = re.fullmatch(r"(?:cannot open file )?'([^']*)'(?: file not found|: .*)", text)
        if missing:
            name = missing[1]
            name = path_of(prefix, name) if name.startswith(ROOT) else name
            text = f"includes {name!r}, which the tree does not hold"
        raise _at(tree, path_of(prefix, file), line, text)
    for name, (file, line) in answer["strays"]:
        text = f"includes {name!r}, which the tree does not hold"
        raise _at(tree, path_of(prefix, file), line, text)


def _at(tree: Tree, file: str, line: int, text: str) -> Malformed:
    return Malformed(text, path=f"{file}:{line}").about(tree.label)
