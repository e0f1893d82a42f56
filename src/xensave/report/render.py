"""Values to one HTML page: self-contained, without scripts, every text escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from xensave import __version__
from xensave.report.fleet import FleetPage
from xensave.report.page import GuestPage
from xensave.report.releases import MatrixRow, ReleasesPage
from xensave.toolstack.releases.matrix import DEPENDS, FIXUP, REFUSED, RESTORES

_CLASSES = {RESTORES: "restores", FIXUP: "fixup", DEPENDS: "depends", REFUSED: "refused"}
_MARKS = {RESTORES: "✓", FIXUP: "≈", DEPENDS: "?", REFUSED: "✗"}
_PARTS = (
    ("findings", "Rules"),
    ("releases", "Releases"),
    ("image", "Image"),
    ("memory", "Memory"),
    ("vcpus", "vCPUs"),
    ("policy", "CPU policy"),
    ("settings", "Settings"),
    ("emulator", "Device model"),
)


def render_guests(pages: Sequence[GuestPage], title: str) -> str:
    """Returns the page of a guest; of several, an index with the fleet's matrix before them."""
    columns = next((tuple(a.release for a in page.answers) for page in pages if page.answers), ())
    rows = [MatrixRow(page.title, page.anchor, page.answers) for page in pages]
    return _render("guests.html.j2", pages=pages, title=title, columns=columns, rows=rows)


def render_releases(page: ReleasesPage, title: str) -> str:
    """Returns the page of Xen's releases."""
    return _render("releases.html.j2", page=page, title=title)


def render_fleet(page: FleetPage, title: str) -> str:
    """Returns the page of a scanned fleet."""
    return _render("fleet.html.j2", page=page, title=title)


class _Template(Protocol):
    def render(self, **values: object) -> str: ...


def _render(name: str, **values: object) -> str:
    template = _environment()(name)
    return template.render(
        version=__version__, classes=_CLASSES, marks=_MARKS, parts=_PARTS, **values
    )


@cache
def _environment() -> Callable[[str], _Template]:
    environment = Environment(
        loader=PackageLoader("xensave.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["zip"] = partial(zip, strict=True)
    get: Callable[[str], _Template] = environment.get_template
    return get
