"""`xensave report`: a page about a saved guest that a person can mail."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from xensave.catalogue import release_names
from xensave.cli.many import for_each
from xensave.cli.options import max_size, walk
from xensave.cli.output import write_text
from xensave.cli.run import complain
from xensave.errors import UsageError, XensaveError
from xensave.image import Image, open_image
from xensave.image.input import Item
from xensave.image.opening import spilled_image

if TYPE_CHECKING:
    from xensave.report.page import GuestPage

DESCRIPTION = (
    "Write one HTML page about saved guests: what each is, which release restores it, its records,"
    " memory, registers, CPU policy, device model; or about a fleet, of a table that `scan` wrote."
    " It needs no script and loads nothing. Exit 0: written; 1: an image is damaged, and the page"
    " says how; 2: usage or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="*",
        help="images, directories, globs and tars of them, or a table; - for stdin",
    )
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
    walk(parser)
    parser.add_argument(
        "--title", metavar="TEXT", help="the title of an index, a fleet or --releases"
    )
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Gathers what the page says, and writes it."""
    if args.releases == bool(args.images):
        raise UsageError("name images, or ask for --releases")
    from xensave.report import render

    if args.releases:
        from xensave.report.releases import releases_page

        title = args.title or "What Xen's releases save"
        write_text(args.output, render.render_releases(releases_page(), title))
        return 0
    from xensave.fleet.parts import is_table

    if any(map(is_table, args.images)):
        if len(args.images) > 1:
            raise UsageError("a table is reported alone")
        from xensave.report.fleet import fleet_page

        page = fleet_page(args.images[0])
        write_text(args.output, render.render_fleet(page, args.title or "A fleet of saved guests"))
        return 0
    pages, codes = _pages(args)
    if not pages:
        return max(codes, default=2)
    write_text(args.output, render.render_guests(pages, args.title or "Saved guests"))
    return max(*codes, _tell_troubles(pages))


def _tell_troubles(pages: list[GuestPage]) -> int:
    """Says what is wrong with images whose pages were written, and returns the exit code."""
    troubles = [
        f"{page.path}: {trouble}"
        for page in pages
        for trouble in (page.wrong, *page.troubles)
        if trouble
    ]
    for trouble in troubles:
        complain("report", XensaveError(trouble), as_json=False)
    return int(bool(troubles))


def _pages(args: argparse.Namespace) -> tuple[list[GuestPage], list[int]]:
    """Returns the page of each image that can be read, and the exit codes of all."""
    from xensave.engine.plugins import installed
    from xensave.report.guest import guest_page
    from xensave.toolstack.judge import Judge

    judge = Judge(release_names()[::-1], plugins=installed())
    pages: list[GuestPage] = []

    def gathered(item: Item) -> int:
        name = "standard input" if item.name == "<stdin>" else item.name
        with _opened(item, walk=args.walk) as image:
            anchor = f"guest-{len(pages) + 1}"
            pages.append(guest_page(image, judge, name, anchor, full=args.full))
        return 0

    return pages, for_each("report", args.images, args, gathered)


def _opened(item: Item, *, walk: bool) -> Image:
    """Opens an image; what comes once is put into a file, since it is read several times.

    A large one is looked at by a glance, unless `walk` is asked.
    """
    if isinstance(item.what, (str, bytes)):
        return item.image(walk=walk)
    return open_image(item.what, source=spilled_image(item.source))
