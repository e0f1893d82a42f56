"""How a release saves and loads each record: read from the handlers in the hypervisor's source.

HVM_REGISTER_SAVE_RESTORE(NAME, save, [check,] load, instances, kind) registers a record's
handlers; CPU_XSAVE and CPU_MSR call hvm_register_savevm(code, "NAME", save, [check,] load, size,
kind) themselves. The check handler came with the check pass (Xen 4.19).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from xensave.catalogue.model import (
    EXACT,
    OWN,
    PER_DOMAIN,
    PER_VCPU,
    ZEROEXTEND,
    LoadMode,
    RecordKind,
)
from xensave.errors import LimitExceeded, Malformed
from xensave.findings import Place
from xensave.headers.compiled.clang import compile_headers
from xensave.headers.text.ctext import active_code, body, calls, opening
from xensave.headers.trees.tree import MemoryTree

REGISTER = "HVM_REGISTER_SAVE_RESTORE"
REGISTER_CALL = "hvm_register_savevm"
TABLE = "hvm_sr_handlers"

_CODE = re.compile(r"([A-Z]\w*)_CODE")
_WORD = re.compile(r"\w{1,200}")
_STRUCT = re.compile(r"\bstruct(?:\s++\w++)?+\Z")
_KINDS: dict[str, RecordKind] = {"HVMSR_PER_DOM": PER_DOMAIN, "HVMSR_PER_VCPU": PER_VCPU}
_CHECK_ENTRY = r"_hvm_check_entry\s*\([^;]*?HVM_SAVE_CODE\s*\(\s*{name}\s*\)[^;]*?"
_LOADS: tuple[tuple[LoadMode, str], ...] = (
    (ZEROEXTEND, r"\bhvm_load_entry_zeroextend\s*\(\s*{name}\s*,"),
    (EXACT, r"\bhvm_(?:load|get)_entry\s*\(\s*{name}\s*,"),
    (ZEROEXTEND, r"\b" + _CHECK_ENTRY + r",\s*(?:0|false)\s*\)"),
    (EXACT, r"\b" + _CHECK_ENTRY + r"\)\s*\)"),
    (OWN, r"\bdesc\s*->\s*length\b"),
)

REGISTRATIONS = 256
"""The most in one source file; Xen's have five. Each is looked up in the whole text."""


class Registration(NamedTuple):
    """A record's registration: its functions, and what its load function takes.

    `load_mode` is EXACT, ZEROEXTEND or OWN, None where the load function cannot be understood;
    `kind` is PER_DOMAIN or PER_VCPU, "" where the text names another. `instances` is how many
    records one domain (or vCPU) saves at most, None where the registration gives a size of its
    own. `bodies` are those of the load and check functions, without comments.
    """

    record: str
    save: str
    check: str
    load: str
    load_mode: LoadMode | None
    kind: RecordKind | Literal[""]
    instances: int | None
    place: Place
    bodies: tuple[str, str] = ("", "")


class HandlerTable(NamedTuple):
    """The handlers of a release, a table entry's size, and whether a check pass comes first."""

    handlers: tuple[Registration, ...]
    entry_size: int
    check_pass: bool


def read_handlers(sources: dict[str, str]) -> HandlerTable:
    """Returns the handler table of hypervisor sources, given as path -> text.

    Raises Malformed where a registration's load function cannot be found or understood.
    """
    handlers = [each for path in sorted(sources) for each in registrations(path, sources[path])]
    for handler in handlers:
        if not handler.kind:
            raise Malformed(f"{handler.place}: unknown kind", record=handler.record)
        if handler.load_mode is None:
            what = "takes its entry in no known way" if handler.bodies[0] else "has no body"
            raise Malformed(f"{handler.place}: {handler.load} {what}", record=handler.record)
    tables = (active_code(text) for text in sources.values())
    table = next((text for text in tables if _table(text)), None)
    if table is None:
        raise Malformed(f"no {TABLE} in the sources")
    return HandlerTable(
        handlers=tuple(sorted(handlers, key=lambda handler: handler.record)),
        entry_size=_entry_size(table),
        check_pass=has_check_pass(table),
    )


def has_check_pass(text: str) -> bool:
    """Tells whether the load loop in this text checks every record before it loads the first."""
    return re.search(r"\bhvm_load\s*\([^)]*\bbool\s+real\b", text) is not None


@lru_cache(maxsize=128)
def registrations(path: str, text: str) -> tuple[Registration, ...]:
    """Returns the registrations in a source file, in the order of their lines.

    Those of a macro's body, in a comment or under `#if 0` are none. Raises LimitExceeded above
    REGISTRATIONS.
    """
    if REGISTER not in text and REGISTER_CALL not in text:
        return ()
    every = _registrations(path, active_code(text))
    told = list(islice(every, REGISTRATIONS + 1))
    if len(told) > REGISTRATIONS:
        raise LimitExceeded(f"{path}: registers more than {REGISTRATIONS} records")
    return tuple(sorted(told, key=lambda each: each.place))


def _registrations(path: str, text: str) -> Iterator[Registration]:
    for offset, words in calls(text, REGISTER):
        name, *functions = words
        count = None
        if len(functions) > 3 and functions[-2].isdigit():
            count = int(functions[-2])
        kind = functions.pop() if functions and functions[-1].startswith("HVMSR_") else ""
        functions = functions[:-1] if kind and len(functions) > 2 else functions
        yield _registration(text, _place(path, text, offset), name, functions, kind, count)
    for offset, words in calls(text, REGISTER_CALL):
        code = _CODE.fullmatch(words[0])
        if len(words) < 4 or not words[1].startswith('"') or words[-1] not in _KINDS:
            continue
        name = code[1] if code else words[1].strip('"')
        yield _registration(text, _place(path, text, offset), name, words[2:-2], words[-1], None)


def _place(path: str, text: str, offset: int) -> Place:
    return Place(file=path, line=text.count("\n", 0, offset) + 1)


def _registration(  # noqa: PLR0917 - the parts of one registration
    text: str, place: Place, name: str, functions: list[str], kind: str, instances: int | None
) -> Registration:
    names = [function.lstrip("&").replace("NULL", "") for function in functions]
    save, check, load = (names[0] if names else "", "", names[-1] if len(names) > 1 else "")
    if len(names) > 2:
        check = names[1]
    bodies = (_body(text, load), _body(text, check))
    mode = load_mode(name, bodies[0]) or (load_mode(name, text) if bodies[0] else None)
    return Registration(
        name, save, check, load, mode, _KINDS.get(kind, ""), instances, place, bodies
    )


def _body(text: str, function: str) -> str:
    """Returns a function's body, "" where there is none or the word is no function's."""
    return (body(text, function) or "") if _WORD.fullmatch(function) else ""


def load_mode(name: str, code: str) -> LoadMode | None:
    """Returns how code that loads a record takes its entry.

    None where it does so in no known way.
    """
    if not _WORD.fullmatch(name):
        return None
    for mode, pattern in _LOADS:
        if re.search(pattern.format(name=re.escape(name)), code):
            return mode
    return None


def loads_in(code: str) -> dict[str, LoadMode]:
    """Returns how the load calls in a piece of code take their entries, by the record's name.

    >>> loads_in("if ( hvm_load_entry_zeroextend(RTC, h, &s->hw) )")
    {'RTC': 'zeroextend'}
    """
    loads: dict[str, LoadMode] = {}
    for mode, pattern in reversed(_LOADS[:-1]):
        for match in re.finditer(pattern.format(name=r"([A-Z]\w*)"), code):
            loads[match[1]] = mode
    return loads


def _table(text: str) -> re.Match[str] | None:
    return re.search(rf"\}}\s*{TABLE}\s*\[", text)


def _entry_size(text: str) -> int:
    """Returns sizeof an entry, by the compiler: its members are pointers, size_t and int."""
    end = _table(text)
    if end is None:
        raise Malformed(f"no {TABLE} in the sources")
    start = opening(text, end.start())
    if start is None or _STRUCT.search(text[:start].rstrip()) is None:
        raise Malformed(f"{TABLE} is no array of a struct that is declared with it")
    members = text[start : end.start() + 1]
    pointers = sorted(set(re.findall(r"\b\w+_handler\b", members)))
    header = "".join(f"typedef int (*{pointer})(void);\n" for pointer in pointers)
    header += f"struct entry {members};\n"
    tree = MemoryTree({"table.h": header}, TABLE)
    entry = compile_headers(tree, "", ["table.h"], structs="entry").structs.get("entry")
    if entry is None:
        raise Malformed(f"{TABLE}: its struct has no members that a compiler sees")
    return entry.size
