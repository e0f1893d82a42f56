"""Where the fields of a struct stand in a header's text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xensave.findings import Place
from xensave.headers.text.ctext import without_comments

_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\n|[{};:,\[\]]")
_DECLARATOR = re.compile(r"[A-Za-z_]\w*")


@dataclass(slots=True)
class _Scope:
    line: int
    members: list[tuple[str, int]] = field(default_factory=list)


def field_lines(text: str, file: str, struct: str) -> Mapping[str, Place]:
    r"""Returns the places of a struct (path "") and of its fields by path, as far as they show.

    A struct that a macro makes has none. Fields of an anonymous member belong to what holds it.

    >>> text = "struct a {\n int b;\n struct {\n int d;\n } c[2];\n};"
    >>> places = field_lines(text, "x.h", "a")
    >>> {path: place.line for path, place in places.items()}
    {'': 1, 'b': 2, 'c.d': 4, 'c': 5}
    """
    code = _DIRECTIVE.sub(_blank, without_comments(text))
    opening = re.search(rf"\bstruct\s+{re.escape(struct)}\s*\{{", code)
    if opening is None:
        return {}
    first = code.count("\n", 0, opening.start()) + 1
    start = code.count("\n", 0, opening.end()) + 1
    places = {"": Place(file=file, line=first)}
    for path, line in _members(_tokens(code, opening.end(), start), start):
        places[path] = Place(file=file, line=line)
    return places


def _blank(directive: re.Match[str]) -> str:
    return "\n" * directive.group().count("\n")


def _tokens(code: str, at: int, line: int) -> Iterator[tuple[str, int]]:
    for match in _TOKEN.finditer(code, at):
        if match.group() == "\n":
            line += 1
        else:
            yield match.group(), line


def _members(tokens: Iterator[tuple[str, int]], start: int) -> list[tuple[str, int]]:
    """The members up to the brace that closes the struct."""
    scopes = [_Scope(start)]
    pending: _Scope | None = None
    name: tuple[str, int] | None = None
    frozen = False
    for token, line in tokens:
        if token == "{":
            scopes.append(_Scope(line))
            name, frozen = None, False
        elif token == "}":
            pending = scopes.pop()
            if not scopes:
                return pending.members
            name, frozen = None, False
        elif token in ";,":
            _close(scopes[-1], name, pending)
            name, frozen = None, False
            pending = None if token == ";" else pending
        elif token in "[:":
            frozen = True
        elif _DECLARATOR.fullmatch(token) and not frozen:
            name = (token, line)
    return scopes[0].members


def _close(scope: _Scope, name: tuple[str, int] | None, inner: _Scope | None) -> None:
    prefix = f"{name[0]}." if name else ""
    if inner is not None:
        scope.members += [(prefix + path, line) for path, line in inner.members]
    if name is not None:
        scope.members.append(name)
