"""`xensave report`: a page about a saved guest that a person can mail."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xensave.catalogue import release_names
from xensave.cli.options import size
from xensave.errors import MissingExtra, UsageError, XensaveError
from xensave.image import Image, open_image
from xensave.source.base import write_all
from xensave.source.output import writing

if TYPE_CHECKING:
    from xensave.report.page import GuestPage

DESCRIPTION = (
    "Write one HTML page about saved guests: what each is, which release restores it, its records,"
    " memory, registers, CPU policy, device model. It needs no script and loads nothing. Exit 0:"
    " written; 1: an image is damaged, and the page says how; 2: usage or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("images", metavar="IMAGE", nargs="*", help="an image; - for stdin")
    parser.add_argument(
        "--releases",
        action="store_true",
        help="no image, but Xen's releases: numbers, layouts, who restores whom, differences",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where the page goes (default: stdout)"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="show what may be secret too: xenstore values, the configuration, vector registers",
    )
    parser.add_argument("--title", metavar="TEXT", help="the title of an index or of --releases")
    parser.add_argument(
        "--max-size", metavar="SIZE", type=size, help="the most that an image may expand to"
    )


def run(args: argparse.Namespace) -> int:
    """Gather what the page says, and write it."""
    if args.releases == bool(args.images):
        raise UsageError("name images, or ask for --releases")
    try:
        from xensave.report import render
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise MissingExtra("report", "Jinja2", "report") from None
    if args.releases:
        from xensave.report.releases import releases_page

        title = args.title or "What Xen's releases save"
        _write(args.output, render.render_releases(releases_page(), title))
        return 0
    pages = _pages(args)
    _write(args.output, render.render_guests(pages, args.title or "Saved guests"))
    for page in pages:
        for trouble in (page.wrong, *page.troubles):
            if trouble:
                raise XensaveError(f"{page.path}: {trouble}")
    return 0


def _pages(args: argparse.Namespace) -> list[GuestPage]:
    from xensave.engine.plugins import installed
    from xensave.report.guest import guest_page
    from xensave.toolstack.judge import Judge

    judge = Judge(release_names()[::-1], plugins=installed())
    pages = []
    for number, path in enumerate(args.images, 1):
        name = "standard input" if path == "-" else path
        with _opened(path, args.max_size) as image:
            pages.append(guest_page(image, judge, name, f"guest-{number}", full=args.full))
    return pages


def _write(path: str, text: str) -> None:
    with writing(path) as output:
        sys.stdout.flush()
        write_all(output.fd, memoryview(text.encode("utf-8", "backslashreplace")))


@contextmanager
def _opened(path: str, max_size: int | None) -> Iterator[Image]:
    """Open an image; standard input is put into a file, since it is read several times."""
    if path != "-":
        with open_image(path, max_size=max_size) as image:
            yield image
        return
    with tempfile.NamedTemporaryFile() as file:
        while chunk := sys.stdin.buffer.read(1 << 20):
            file.write(chunk)
        file.flush()
        with open_image(file.name, max_size=max_size) as image:
            yield image
