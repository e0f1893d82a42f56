"""`xensave encode`: an image again, from what `xensave decode` printed."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext

from xensave.cli.options import max_size
from xensave.cli.output import no_terminal
from xensave.edit.document.encode import Document, write_document
from xensave.errors import SourceError, UsageError, XensaveError
from xensave.source import open_source
from xensave.source.inputs import reading
from xensave.source.output import writing

DESCRIPTION = (
    "Make an image of the JSON that `xensave decode` printed, byte for byte where it was not"
    " changed. Page contents come from the image that the JSON names. Exit 0: done; 1: the JSON"
    " describes no image; 2: usage or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("document", metavar="JSON", help="the decoded image; - for standard input")
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        default="-",
        help="where the image goes (default: standard output)",
    )
    parser.add_argument("--image", metavar="FILE", help="take page contents from this image")
    max_size(parser)


def run(args: argparse.Namespace) -> int:
    """Reads the document, and writes the image that it describes."""
    no_terminal(args.output)
    document = _load(args.document)
    path = args.image or document.image
    if not document.needs_image:
        path = None
    elif path is None:
        raise UsageError("the JSON names no image for its page contents: name it by --image")
    opened = open_source(path, max_size=args.max_size) if path else nullcontext()
    with opened as source, writing(args.output) as output:
        write_document(document, source, output.fd)
    return 0


def _load(path: str) -> Document:
    try:
        with open(0 if path == "-" else path, encoding="utf-8", closefd=path != "-") as file:
            reading(file.fileno(), path)
            return Document.load(file)
    except OSError as error:
        raise SourceError(str(error.strerror)).about(path) from error
    except XensaveError as error:
        raise error.about(path) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"is no UTF-8 text: {os.fsdecode(str(error))}").about(path) from error
