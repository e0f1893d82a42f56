"""`xensave patchwork`: review the series of a Patchwork project."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from xensave.cli.answer import print_json
from xensave.cli.options import read_file
from xensave.errors import UsageError
from xensave.findings import ERROR
from xensave.views.text.escape import escape
from xensave.views.text.terminal import coloured

if TYPE_CHECKING:
    from xensave.review.patchwork.run import Reviewed

DESCRIPTION = (
    "Fetch series from a Patchwork server, review them as `xensave review` does, and post a check "
    "to each patch. Without --post nothing is sent: what would be is printed. Exit code: 0 no "
    "error, 1 a series draws one, 2 the server or a series cannot be read."
)
TOKEN = "XENSAVE_PATCHWORK_TOKEN"
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--server", metavar="URL", required=True, help="the Patchwork server")
    parser.add_argument("--project", metavar="NAME", help="the project, as xen-devel")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--series", metavar="ID", type=int, action="append", help="one series")
    which.add_argument("--since", metavar="DATE", help="all that became complete since then")
    parser.add_argument("--tree", metavar="DIR", help="a Xen repository to apply patches to")
    parser.add_argument("--at", metavar="REV", default="HEAD", help="its revision")
    parser.add_argument("--post", action="store_true", help="post checks to the server")
    parser.add_argument(
        "--token-file", metavar="FILE", help=f"where the token is; else it is ${TOKEN}"
    )
    parser.add_argument(
        "--state", metavar="FILE", help="note there what is done, to go on after a break"
    )
    parser.add_argument(
        "--pause", metavar="SECONDS", type=float, default=0.5, help="between requests (0.5)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Fetches, reviews, prints, and posts where asked."""
    from xensave.review.patchwork.client import Client
    from xensave.review.patchwork.run import Done, review_all
    from xensave.review.session import Request, review

    if args.since and not args.project:
        raise UsageError("--since needs --project")
    request = Request(inputs=("series",), tree=args.tree, at=args.at)
    client = Client(args.server, _token(args) if args.post else None, max(args.pause, 0.0))
    rows, code = [], 0
    for reviewed in review_all(
        client,
        list(args.series or client.completed(args.project, args.since)),
        lambda _, mails: review(request, lambda _: mails),
        Done(args.state),
        post=args.post,
    ):
        fails = reviewed.result is not None and reviewed.result.fails(ERROR)
        code = max(code, 2 if reviewed.error else int(fails))
        if args.json:
            rows.append(_row(reviewed))
        else:
            _print(reviewed, args)
    if args.json:
        print_json(rows)
    return code


def _token(args: argparse.Namespace) -> str:
    if args.token_file:
        token = read_file(args.token_file).decode("ascii", "replace").strip()
    else:
        token = os.environ.get(TOKEN, "").strip()
    if not token or not token.isalnum():
        raise UsageError(f"--post needs a token: in ${TOKEN}, or a file by --token-file")
    return token


def _print(reviewed: Reviewed, args: argparse.Namespace) -> None:
    from xensave.views.review.text import text

    series = reviewed.series
    sys.stdout.write(f"series {series.id}: {escape(series.name)} {escape(series.url)}\n")
    if reviewed.error:
        sys.stdout.write(f"  not reviewed: {escape(reviewed.error)}\n")
    elif reviewed.result is None:
        sys.stdout.write("  nothing to review: it touches no numbers\n")
    else:
        sys.stdout.write(text(reviewed.result, colour=coloured(sys.stdout, args.color)))
    for check in reviewed.checks:
        word = "posted" if reviewed.posted else "would post"
        sys.stdout.write(f"  {word} to patch {check.patch}: {check.state}, {check.description}\n")


def _row(reviewed: Reviewed) -> dict[str, object]:
    from xensave.views.review.objects import rows_of

    return {
        "series": reviewed.series.id,
        "name": reviewed.series.name,
        "url": reviewed.series.url,
        "error": reviewed.error or None,
        "objections": rows_of(reviewed.result) if reviewed.result else [],
        "checks": [check._asdict() for check in reviewed.checks],
        "posted": reviewed.posted,
    }
