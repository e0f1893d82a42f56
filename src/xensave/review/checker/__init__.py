"""Write a checker for Xen's own tree: one file for any Python, with the releases' facts in it.

`script.py` is the checker without facts. It is written so that Python 2.7 runs it too, as Xen's
README asks of scripts in its tree; nothing else may import it.
"""

from __future__ import annotations

import os
import pprint
import re
from collections.abc import Mapping
from importlib.resources import files

from xensave.catalogue import MASTER, layout, names_of, release, release_names
from xensave.catalogue.model import Release
from xensave.errors import UsageError
from xensave.source.base import write_all
from xensave.source.output import writing

# An open-ended list of releases is no use to a tree that is older than all of them.
_FACTS = re.compile(r"^(RELEASES|NAMES|RESERVED) = .*$", re.MULTILINE)


def emit(path: str | os.PathLike[str]) -> None:
    """Writes the checker to a file. Raises UsageError where that cannot be done."""
    try:
        with writing(os.fspath(path)) as output:
            write_all(output.fd, memoryview(checker_text().encode("ascii")))
            os.fchmod(output.fd, 0o755)
    except OSError as error:
        raise UsageError(f"{os.fspath(path)}: {error.strerror or error}") from error


def checker_text() -> str:
    """Returns the checker's text with the facts of every release in it."""
    text = files("xensave.review.checker").joinpath("script.py").read_text(encoding="ascii")
    facts = {"RELEASES": _releases(), "NAMES": _names(), "RESERVED": _reserved()}
    return _FACTS.sub(lambda match: _assignment(match[1], facts), text)


def _assignment(name: str, facts: Mapping[str, object]) -> str:
    return f"{name} = {pprint.pformat(facts[name], width=100, compact=True)}"


def _releases() -> list[object]:
    return [
        [[int(part) for part in name.split(".")], _bound(release(name))]
        for name in release_names()
        if name != MASTER
    ]


def _bound(bound: Release) -> dict[int, list[object]]:
    return {
        binding.typecode: [
            binding.name,
            None if layout(binding.layout).flexible else binding.size,
        ]
        for binding in bound.bindings
    }


def _names() -> dict[int, list[str]]:
    codes = {binding.typecode for name in release_names() for binding in release(name).bindings}
    return {code: list(names_of(code)) for code in sorted(codes)}


def _reserved() -> list[list[object]]:
    return [
        [reservation.first, reservation.last, reservation.owner]
        for reservation in release(MASTER).reservations
    ]
