"""`xensave memory`: what a saved guest's memory holds, and where."""

from __future__ import annotations

import argparse
import os
import re
import sys

from xensave.cli.answer import print_json, print_lines
from xensave.cli.many import for_each
from xensave.cli.options import images, number, positive, reading
from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.errors import UsageError
from xensave.image import Image
from xensave.image.input import Item
from xensave.records.twins import hex64

DESCRIPTION = (
    "Show the map of a saved guest's memory, the bytes at an address, or where a pattern is found."
    " Exit 0: shown; 1: a damaged image, an address without contents, a pattern that is nowhere;"
    " 2: usage, or the input could not be read."
)

_LENGTH = 256
_SHOWN = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    images(
        parser,
        "save images and streams, directories, globs and tars of them; - for standard input;"
        " domain:NAME is a guest that runs, which is paused while its memory is read",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--pfn", metavar="N", type=number, help="show the page of a frame number")
    what.add_argument("--physical", metavar="A", type=number, help="show a physical address")
    what.add_argument("--virtual", metavar="A", type=number, help="show a virtual address")
    what.add_argument(
        "--find",
        metavar="PATTERN",
        help="list where memory holds a text, bytes (0x7f454c46) or a regular expression (/.../)",
    )
    parser.add_argument(
        "--vcpu", metavar="N", type=number, help="whose virtual addresses (those of vCPU 0)"
    )
    parser.add_argument(
        "--length", metavar="N", type=positive, help="how many bytes (a page with --pfn, else 256)"
    )
    parser.add_argument(
        "--hex", action="store_true", help="print a hex dump to a pipe too, not the bytes"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the map to an .svg or .png file")
    parser.add_argument(
        "--no-contents", action="store_true", help="do not look at pages: no zeros, no duplicates"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    reading(parser)


def run(args: argparse.Namespace) -> int:
    """Opens the image and prints what was asked for."""
    addressed = (args.pfn, args.physical, args.virtual) != (None, None, None)
    if args.length is not None and not addressed:
        raise UsageError("--length goes with --pfn, --physical or --virtual")
    if args.plot is not None and len(args.images) > 1:
        raise UsageError("--plot draws one image")
    shown = 0

    def show(item: Item) -> int:
        nonlocal shown
        several = shown > 0 or item.member is not None or len(args.images) > 1
        shown += 1
        with item.image(walk=True) as image:
            return _show(image, args, several=several)

    return max(for_each("memory", args.images, args, show, memory=True), default=0)


def _show(image: Image, args: argparse.Namespace, *, several: bool) -> int:
    """Prints what was asked for; bytes of one of `several` images are not told apart in a pipe."""
    # Of a pipe memory comes first: all else is asked of what was kept of it.
    memory = image.memory
    if args.find is not None:
        return _find(image, args, several=several)
    if args.pfn is not None:
        address = args.pfn << PAGE_SHIFT
        data = memory.read(address, args.length or PAGE_SIZE)
    elif args.physical is not None:
        address = args.physical
        data = memory.read(address, args.length or _LENGTH)
    elif args.virtual is not None:
        address = args.virtual
        data = image.vcpu(args.vcpu or 0).read(address, args.length or _LENGTH)
    else:
        _map(image, args)
        return 0
    _dump(data, address, args, image.name, several=several)
    return 0


def _map(image: Image, args: argparse.Namespace) -> None:
    from xensave.image.memory.memory_map import file_map, memory_map
    from xensave.views.guest.memory_map import map_json, map_lines
    from xensave.views.text.terminal import width_of

    whole = memory_map(image, contents=not args.no_contents)
    if args.plot is not None:
        from xensave.views.guest.memory_plot import plot

        plot(args.plot, whole, image.memory.index)
    if args.json:
        sys.stdout.writelines(map_json(image.name, whole, file_map(image, whole.contents)))
        sys.stdout.write("\n")
        return
    print_lines(map_lines(image.name, whole, width_of(sys.stdout)))


def _dump(data: bytes, address: int, args: argparse.Namespace, name: str, *, several: bool) -> None:
    if args.json:
        place = {"address": address, "hex": {"address": hex64(address)}}
        fields = {"source": name, **place, "length": len(data), "bytes": data.hex()}
        print_json(fields, indent=None)
    elif args.hex or several or sys.stdout.isatty():
        from xensave.views.text.escape import escape
        from xensave.views.text.hexdump import hexdump_lines

        if several:
            sys.stdout.write(f"{escape(name)}:\n")
        print_lines(hexdump_lines(data, address))
    else:
        sys.stdout.flush()
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
            out.write(data)


def _find(image: Image, args: argparse.Namespace, *, several: bool) -> int:
    from xensave.image.memory.reverse import ReverseMap
    from xensave.memory.search import search
    from xensave.views.text.escape import escape

    pattern = pattern_of(args.find)
    numbers = image.vcpu_numbers if args.vcpu is None else [args.vcpu]
    reverse = ReverseMap(space for number in numbers for space in image.vcpu(number).spaces)
    none = True
    for hit in search(image.memory, pattern):
        none = False
        virtual = reverse.virtual(hit.physical)
        if args.json:
            twins = {f"virtual[{at}]": hex64(each) for at, each in enumerate(virtual)}
            twins["physical"] = hex64(hit.physical)
            place = {"physical": hit.physical, "virtual": virtual, "hex": twins}
            fields = {"source": image.name, **place, "bytes": hit.data.hex()}
            print_json(fields, indent=None)
            continue
        address = f"{virtual[0]:#018x}" if virtual else "-"
        text = escape(hit.data[:_SHOWN].decode("ascii", "backslashreplace"))
        front = f"{escape(image.name)}: " if several else ""
        sys.stdout.write(f"{front}{hit.physical:#014x}  {address:<18}  {text}\n")
    return int(none)


def pattern_of(text: str) -> re.Pattern[bytes]:
    r"""Returns what is looked for: /a regular expression/, 0x and bytes, or a text as it stands.

    >>> pattern_of("0x7f454c46").pattern, pattern_of("/Linux [0-9]/").pattern
    (b'\x7fELF', b'Linux [0-9]')
    """
    if len(text) > 2 and text[0] == text[-1] == "/":
        try:
            return re.compile(os.fsencode(text[1:-1]), re.DOTALL)
        except re.error as error:
            raise UsageError(f"{text}: {error}") from error
    data = os.fsencode(text)
    if re.fullmatch(r"0[xX]([0-9a-fA-F]{2})+", text):
        data = bytes.fromhex(text[2:])
    if not data:
        raise UsageError("an empty pattern is everywhere")
    return re.compile(re.escape(data))
