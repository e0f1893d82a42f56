"""How a release saves and loads each record: read from the handlers in the hypervisor's source.

HVM_REGISTER_SAVE_RESTORE(NAME, save, [check,] load, instances, kind) registers a record's
handlers; CPU_XSAVE and CPU_MSR call hvm_register_savevm(code, "NAME", save, [check,] load, size,
kind) themselves. The check handler came with the check pass (Xen 4.19).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xensave.catalogue.model import EXACT, OWN, PER_DOMAIN, PER_VCPU, ZEROEXTEND
from xensave.errors import Malformed
from xensave.findings import Place
from xensave.headers.compiled.clang import compile_headers
from xensave.headers.text.ctext import body, calls, closing, without_comments
from xensave.headers.trees.tree import MemoryTree

REGISTER = "HVM_REGISTER_SAVE_RESTORE"
REGISTER_CALL = "hvm_register_savevm"
TABLE = "hvm_sr_handlers"

_KINDS = {"HVMSR_PER_DOM": PER_DOMAIN, "HVMSR_PER_VCPU": PER_VCPU}
_CHECK_ENTRY = r"_hvm_check_entry\s*\([^;]*?HVM_SAVE_CODE\s*\(\s*{name}\s*\)[^;]*?"
_LOADS = (
    (ZEROEXTEND, r"\bhvm_load_entry_zeroextend\s*\(\s*{name}\s*,"),
    (EXACT, r"\bhvm_(?:load|get)_entry\s*\(\s*{name}\s*,"),
    (ZEROEXTEND, r"\b" + _CHECK_ENTRY + r",\s*(?:0|false)\s*\)"),
    (EXACT, r"\b" + _CHECK_ENTRY + r"\)\s*\)"),
    (OWN, r"\bdesc\s*->\s*length\b"),
)


@dataclass(frozen=True, slots=True)
class Handler:
    """A record's registration: its functions, and what its load function takes.

    `load_mode` is EXACT, ZEROEXTEND or OWN; `instances` how many records one domain (or vCPU)
    saves at most, None where the registration gives a size of its own.
    """

    record: str
    save: str
    check: str
    load: str
    load_mode: str
    kind: str
    instances: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class HandlerTable:
    """The handlers of a release, a table entry's size, and whether a check pass comes first."""

    handlers: tuple[Handler, ...]
    entry_size: int
    check_pass: bool


def read_handlers(sources: dict[str, str]) -> HandlerTable:
    """Return the handler table of hypervisor sources, given as path -> text.

    Raises Malformed where a registration's load function cannot be found or understood.
    """
    texts = {path: without_comments(text) for path, text in sources.items()}
    handlers = [handler for path in sorted(texts) for handler in _registrations(path, texts[path])]
    table = next((text for text in texts.values() if _table(text)), None)
    if table is None:
        raise Malformed(f"no {TABLE} in the sources")
    return HandlerTable(
        handlers=tuple(sorted(handlers, key=lambda handler: handler.record)),
        entry_size=_entry_size(table),
        check_pass=re.search(r"\bhvm_load\s*\([^)]*\bbool\s+real\b", table) is not None,
    )


def _registrations(path: str, text: str) -> Iterator[Handler]:
    for offset, words in calls(text, REGISTER):
        name, save, *check, load, instances, kind = words
        place = _place(path, text, offset)
        yield _handler(text, place, name, (save, *check, load), kind, int(instances, 0))
    for offset, words in calls(text, REGISTER_CALL):
        if len(words) < 6 or not words[1].startswith('"'):
            continue
        _, name, save, *check, load, _, kind = words
        place = _place(path, text, offset)
        yield _handler(text, place, name.strip('"'), (save, *check, load), kind, None)


def _place(path: str, text: str, offset: int) -> Place:
    return Place(file=path, line=text.count("\n", 0, offset) + 1)


def _handler(  # noqa: PLR0917 - the parts of one registration
    text: str,
    place: Place,
    name: str,
    functions: tuple[str, ...],
    kind: str,
    instances: int | None,
) -> Handler:
    if kind not in _KINDS:
        raise Malformed(f"{place}: unknown kind {kind!r}", record=name)
    save, *check, load = (function.lstrip("&").replace("NULL", "") for function in functions)
    return Handler(
        record=name,
        save=save,
        check=check[0] if check else "",
        load=load,
        load_mode=_load_mode(text, name, load, place),
        kind=_KINDS[kind],
        instances=instances,
        place=place,
    )


def _load_mode(text: str, name: str, load: str, place: Place) -> str:
    function = body(text, load)
    if function is None:
        raise Malformed(f"{place}: no body of {load}", record=name)
    for mode, pattern in _LOADS:
        if re.search(pattern.format(name=name), function):
            return mode
    raise Malformed(f"{place}: {load} takes its entry in no known way", record=name)


def _table(text: str) -> re.Match[str] | None:
    return re.search(rf"\}}\s*{TABLE}\s*\[", text)


def _entry_size(text: str) -> int:
    """Return sizeof an entry, by the compiler: its members are pointers, size_t and int."""
    end = _table(text)
    if end is None:
        raise Malformed(f"no {TABLE} in the sources")
    start = next(
        match.end() - 1
        for match in re.finditer(r"\bstruct\s*\w*\s*\{", text)
        if closing(text, match.end() - 1) == end.start()
    )
    members = text[start : end.start() + 1]
    pointers = sorted(set(re.findall(r"\b\w+_handler\b", members)))
    header = "".join(f"typedef int (*{pointer})(void);\n" for pointer in pointers)
    header += f"struct entry {members};\n"
    tree = MemoryTree({"table.h": header}, TABLE)
    return compile_headers(tree, "", ["table.h"], structs="entry").structs["entry"].size
