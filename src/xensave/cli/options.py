"""Options that several commands have, and how their values are read."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from xensave.errors import SourceError, UsageError, XensaveError
from xensave.source.inputs import reading as reading_file

if TYPE_CHECKING:
    from xensave.catalogue.registry import Registry
    from xensave.policy.host import Host

Contents = TypeVar("Contents")

FILE_LIMIT = 64 << 20
"""The most that is read of a file that an option names, or of a thread of mails."""

_SIZE = r"(\d{1,20})\s*(?:([kmgt])(?:i?b)?|b)?"
_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def number(text: str) -> int:
    """Reads a number as a person writes one: decimal or 0x...

    >>> number("40"), number("0x4100")
    (40, 16640)
    """
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text!r}") from None


def positive(text: str) -> int:
    """Reads a number from 1 on."""
    value = number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more: {text!r}")
    return value


def unsigned(text: str) -> int:
    """Reads a number of 64 bits: an address, or what counts from 0 on.

    >>> unsigned("0xffffffff81000000")
    18446744071578845184
    """
    value = number(text)
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"must be from 0 to {(1 << 64) - 1:#x}: {text!r}")
    return value


def size(text: str) -> int:
    """Reads a number of bytes from 1 on; k, M, G and T count in powers of 1024.

    >>> size("5G"), size("512 MiB"), size("0x1000")
    (5368709120, 536870912, 4096)
    """
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if match is None or not match[2]:
        return positive(text.strip().rstrip("bB") if match else text)
    number_ = positive(match[1]) * _FACTORS[match[2].lower()]
    if number_ >= 1 << 63:
        raise argparse.ArgumentTypeError(f"too large: {text!r}")
    return number_


def images(parser: argparse.ArgumentParser, what: str) -> None:
    """Declares IMAGE..., of which `what` says what they are."""
    parser.add_argument("images", metavar="IMAGE", nargs="+", help=what)


def memory_image(parser: argparse.ArgumentParser) -> None:
    """Declares IMAGE, the one guest whose memory is looked into; it may be one that runs."""
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="a save image or a stream; domain:NAME is a guest that runs, which is paused while its"
        " memory is read",
    )


def target(parser: argparse.ArgumentParser, what: str) -> None:
    """Declares -t or --target, a release that must be named."""
    parser.add_argument("-t", "--target", metavar="R", required=True, help=what)


def repeated(parser: argparse.ArgumentParser, option: str, metavar: str, what: str) -> None:
    """Declares an option that may be repeated; its values are a list, empty where it is absent."""
    parser.add_argument(
        option, metavar=metavar, action="append", default=[], help=f"{what}; may be repeated"
    )


def layouts(parser: argparse.ArgumentParser) -> None:
    """Declares --release, of which layouts are taken."""
    parser.add_argument(
        "--release",
        metavar="R",
        help="take layouts from this Xen release, not the one that the image names",
    )


def space(
    parser: argparse.ArgumentParser,
    what: str = "another number space than the save records (hvm-param, ...)",
) -> None:
    """Declares --space, a number space by its name."""
    parser.add_argument("--space", metavar="S", help=what)


def registry(parser: argparse.ArgumentParser, verb: str) -> None:
    """Declares --registry: files to show or heed, as `verb` says, with those that are shipped."""
    repeated(
        parser, "--registry", "FILE", f"a vendor's registry to {verb} besides the shipped ones"
    )


def registries_of(paths: list[str]) -> list[Registry]:
    """Returns the registries that are shipped, and those of --registry."""
    from xensave.catalogue.registry import read_registry, shipped_registries

    return [*shipped_registries(), *map(read_registry, paths)]


def reading(parser: argparse.ArgumentParser, *aliases: str) -> None:
    """Declares how inputs are read: --input-format, with its other names, and --max-size."""
    from xensave.container.formats import format_names

    names = format_names()
    parser.add_argument(
        "--input-format",
        *aliases,
        choices=names,
        metavar="FORMAT",
        help=f"what the input is, where its first bytes do not tell: {', '.join(names)}",
    )
    max_size(parser)


def max_size(parser: argparse.ArgumentParser) -> None:
    """Declares --max-size: what a compressed input may become."""
    parser.add_argument(
        "--max-size", metavar="SIZE", type=size, help="the most that an input may decompress to"
    )


def walk(parser: argparse.ArgumentParser) -> None:
    """Declares --walk: large images are looked at by a glance otherwise."""
    parser.add_argument(
        "--walk",
        action="store_true",
        help="read every record; else of an image of 256 MiB or more, or behind an address, only"
        " what stands before and behind its pages, where that can be proved to be whole",
    )


def host(parser: argparse.ArgumentParser) -> None:
    """Declares --host: what is known of the target's host."""
    parser.add_argument(
        "--host",
        metavar="FILE",
        help="what the target's host can give: the output of xen-cpuid -p, an image saved there,"
        " or xapi's featureset",
    )


def read_file(path: str) -> bytes:
    """Returns the bytes of a file that is read whole; "-" is standard input.

    Raises SourceError, also for more than FILE_LIMIT bytes.
    """
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            reading_file(file.fileno(), path)
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise SourceError(str(error.strerror)).about(path) from error
    if len(data) > FILE_LIMIT:
        raise SourceError(f"more than {FILE_LIMIT >> 20} MiB").about(path)
    return data


def host_of(path: str | None) -> Host | None:
    """Returns what the file of --host says, None for none. Raises what `contents` raises."""
    if path is None:
        return None
    from xensave.policy.hostfile import read_host

    return contents("host", path, read_host)


def contents(option: str, path: str | None, read: Callable[[str], Contents]) -> Contents | None:
    """Returns what an option's file says. Raises UsageError where it cannot be read as that."""
    if path is None:
        return None
    try:
        return read(path)
    except (SourceError, UsageError):
        raise
    except XensaveError as error:
        place = "" if error.source else f"{path}: "
        raise UsageError(f"--{option} {place}{error}") from error
