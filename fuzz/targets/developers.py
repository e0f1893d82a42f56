"""What developers hand over: rules, registries, waivers, C headers and sources, a hypervisor."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path

from fuzz.corpus import seeds
from fuzz.printing import printable
from fuzz.targets.choice import some
from fuzz.targets.place import folder
from xensave.binaries.hypervisor import hypervisor_space
from xensave.catalogue import space_names
from xensave.catalogue.owned import SAVE_RECORD
from xensave.catalogue.registry import read_registry
from xensave.convert import ConversionRefused, Settings, plan_conversion
from xensave.convert.rules import load_rules
from xensave.errors import XensaveError
from xensave.headers.save import read_tree
from xensave.headers.spaces import descriptions
from xensave.headers.text.comments import reservations
from xensave.headers.text.numbers import read_document, read_text
from xensave.headers.text.registrations import read_handlers
from xensave.headers.trees.tree import MemoryTree, checked
from xensave.numbers.claims import Claims
from xensave.numbers.clash import find_clashes
from xensave.numbers.sources import (
    claims_of,
    header_claims,
    hypervisor_claims,
    registry_claims,
)
from xensave.review.config import read_config
from xensave.views.answers.plan import plan_lines
from xensave.views.catalogue.numbers import clash_lines, clash_objects

RELEASE = "4.17"


def _file(name: str, data: bytes) -> str:
    path = Path(folder()) / name
    path.write_bytes(data)
    return str(path)


@cache
def _release(space: str) -> Claims:
    return claims_of(RELEASE, space)


def _clash(claims: Claims, space: str = SAVE_RECORD) -> None:
    clashes = find_clashes([_release(space), claims])
    printable(clash_lines(clashes, 100, colour=False))
    json.dumps(clash_objects(clashes))


def rules(data: bytes) -> None:
    """Rules for a downstream's records, and a plan that follows them."""
    settings = Settings("4.13", source=RELEASE, rules=load_rules(_file("rules.toml", data)))
    settings.check()
    with suppress(ConversionRefused):
        printable(plan_lines(plan_conversion(seeds()["amazon.ctx"], settings), 100))


def registry(data: bytes) -> None:
    """A vendor's numbers, beside those of a release in every space."""
    found = read_registry(_file("registry.toml", data))
    for space in (SAVE_RECORD, *some(space_names(), data, 1)):
        _clash(registry_claims(found, space), space)


def waivers(data: bytes) -> None:
    """What a project states about its reviews."""
    read_config(_file(".xensave.toml", data))


def headers(data: bytes) -> None:
    """A header as the compiler and as readers of its text see it."""
    text = checked(data.decode("utf-8", "replace"), "input", "hvm/save.h")
    for description in descriptions():
        with suppress(XensaveError):
            read_text(text, "input.h", description)
        with suppress(XensaveError):
            read_document(text, "input.pandoc", description)
    with suppress(XensaveError):
        reservations(text, "input.h")
    with suppress(XensaveError):
        read_handlers({"input.c": text})
    _clash(header_claims(read_tree(MemoryTree({"hvm/save.h": text}, "input")), "input"))


def hypervisor(data: bytes) -> None:
    """A hypervisor's binary: the records that it registers."""
    _clash(hypervisor_claims(hypervisor_space(data)))
