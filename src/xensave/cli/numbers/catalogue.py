"""`xensave catalogue`: build the catalogue's data from a Xen repository."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from xensave.errors import SourceError
from xensave.views.text.escape import escape

DESCRIPTION = "Build the catalogue of records and number spaces from a Xen repository."
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("action", choices=["build"], help="what to do")
    parser.add_argument(
        "--xen-git", required=True, metavar="DIR", help="a git repository of Xen with its tags"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        default=str(Path(__file__).parents[2] / "catalogue" / "data"),
        help="where the data files go (the package's own data)",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress, no word on what was not read"
    )


def run(args: argparse.Namespace) -> int:
    """Builds, and says what was written."""
    from xensave.headers.survey.run import build

    unread: list[str] = []
    _writable(args.out)
    count = build(args.xen_git, args.out, unread.append)
    if not args.quiet:
        sys.stderr.writelines(f"{escape(message)}\n" for message in unread)
    sys.stdout.write(f"{count} files written to {escape(args.out)}\n")
    return 0


def _writable(out: str) -> None:
    """Tells before the work, not after it, that nothing can be written there."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"{out}: {error.strerror}") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise SourceError(f"{out}: Permission denied")
