"""`xensave memory`: what a saved guest's memory holds, and where."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import NamedTuple

from xensave.cli.answer import print_json, print_lines
from xensave.cli.many import for_each
from xensave.cli.options import images, reading, size, unsigned
from xensave.container.streams.libxc import PAGE_SHIFT, PAGE_SIZE
from xensave.errors import UsageError
from xensave.image import Image
from xensave.image.input import Item
from xensave.records.twins import hex64
from xensave.source.limits import READ_LIMIT
from xensave.views.text.escape import escape
from xensave.views.text.terminal import width_of

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
    what.add_argument("--pfn", metavar="N", type=unsigned, help="show the page of a frame number")
    what.add_argument("--physical", metavar="A", type=unsigned, help="show a physical address")
    what.add_argument("--virtual", metavar="A", type=unsigned, help="show a virtual address")
    what.add_argument(
        "--find",
        metavar="PATTERN",
        help="list where memory holds a text, bytes (0x7f454c46) or a regular expression (/.../)",
    )
    parser.add_argument(
        "--vcpu", metavar="N", type=unsigned, help="whose virtual addresses (those of vCPU 0)"
    )
    parser.add_argument(
        "--length", metavar="N", type=size, help="how many bytes (a page with --pfn, else 256)"
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
    _check(args)
    pattern = None if args.find is None else pattern_of(args.find)
    shown = 0

    def show(item: Item) -> int:
        nonlocal shown
        several = shown > 0 or item.member is not None or len(args.images) > 1
        shown += 1
        with item.image(walk=True) as image:
            return _show(image, args, pattern, several=several)

    return max(for_each("memory", args.images, args, show, memory=True), default=0)


def _check(args: argparse.Namespace) -> None:
    """Refuses options that have no meaning for what was asked."""
    addressed = (args.pfn, args.physical, args.virtual) != (None, None, None)
    for option in ("length", "hex"):
        if getattr(args, option) and not addressed:
            raise UsageError(f"--{option} goes with --pfn, --physical or --virtual")
    if args.vcpu is not None and args.virtual is None and args.find is None:
        raise UsageError("--vcpu goes with --virtual or --find")
    if (args.plot is not None or args.no_contents) and (addressed or args.find is not None):
        raise UsageError("--plot and --no-contents are for the map")
    if args.plot is not None and len(args.images) > 1:
        raise UsageError("--plot draws one image")
    if args.length is not None and args.length > READ_LIMIT:
        raise UsageError(f"--length is at most {READ_LIMIT >> 20} MiB; extract takes out all")


def _show(image: Image, args: argparse.Namespace, pattern: Pattern | None, *, several: bool) -> int:
    """Prints what was asked for; bytes of one of `several` images are not told apart in a pipe."""
    # Of a pipe memory comes first: all else is asked of what was kept of it.
    memory = image.require_memory()
    if pattern is not None:
        return _find(image, args, pattern, several=several)
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
        from xensave.views.text.hexdump import hexdump_lines

        if several:
            sys.stdout.write(f"{escape(name)}:\n")
        print_lines(hexdump_lines(data, address))
    else:
        sys.stdout.flush()
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
            out.write(data)


def _find(image: Image, args: argparse.Namespace, pattern: Pattern, *, several: bool) -> int:
    from xensave.image.memory.reverse import ReverseMap
    from xensave.memory.search import search

    numbers = image.vcpu_numbers if args.vcpu is None else [args.vcpu]
    reverse = ReverseMap(space for number in numbers for space in image.vcpu(number).spaces)
    none = True
    for hit in search(image.memory, pattern.expression):
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
    if none:
        line = f"xensave memory: {image.name}: {pattern.kind} nowhere: {args.find}"
        sys.stderr.write(f"{escape(line)}\n")
    return int(none)


class Pattern(NamedTuple):
    """What is looked for, and the words that say as what it was taken."""

    expression: re.Pattern[bytes]
    kind: str


def pattern_of(text: str) -> Pattern:
    r"""Returns what is looked for: /a regular expression/, 0x and bytes, or a text as it stands.

    Raises UsageError for what begins with 0x and is no whole bytes, and for an expression that is
    none, or matches nothing too.

    >>> pattern_of("0x7f454c46").expression.pattern, pattern_of("/Linux [0-9]/").kind
    (b'\x7fELF', 'the expression is')
    """
    if len(text) > 2 and text[0] == text[-1] == "/":
        try:
            expression = re.compile(os.fsencode(text[1:-1]), re.DOTALL)
        except re.error as error:
            raise UsageError(f"{text}: {error}") from error
        if expression.match(b""):
            raise UsageError(f"{text}: matches nothing too, and so everywhere")
        return Pattern(expression, "the expression is")
    if not text:
        raise UsageError("an empty pattern is everywhere")
    if text[:2].lower() != "0x":
        return Pattern(re.compile(re.escape(os.fsencode(text))), "the text is")
    if re.fullmatch(r"([0-9a-fA-F]{2})+", text[2:]) is None:
        raise UsageError(
            f"{text}: bytes are 0x and two digits for each; to find that text write /{text}/"
        )
    return Pattern(re.compile(re.escape(bytes.fromhex(text[2:]))), "the bytes are")
