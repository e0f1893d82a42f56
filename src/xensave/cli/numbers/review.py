"""`xensave review`: the objections that a careful reviewer would raise to a change."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from xensave.cli.options import FILE_LIMIT, read_file, registry, repeated
from xensave.errors import MissingExtra, UsageError, XensaveError
from xensave.findings import ERROR, WARNING
from xensave.views.text.escape import escape
from xensave.views.text.terminal import coloured, folded

if TYPE_CHECKING:
    from xensave.review.history import CommitReview
    from xensave.review.result import ReviewResult
    from xensave.review.session import Request

DESCRIPTION = (
    "Review a change to the number space of HVM save records: patches as mailed, diffs, "
    "revisions of a tree, or two directories of headers. Exit code: 0 nothing to fail on, "
    "1 objections, 2 nothing could be reviewed."
)
FORMATS = ("text", "json", "sarif", "github", "gitlab", "rdjson", "reply")
_VIEWS = {
    "json": ("objects", "as_json"),
    "sarif": ("sarif", "sarif"),
    "github": ("github", "github"),
    "gitlab": ("gitlab", "gitlab"),
    "rdjson": ("rdjson", "rdjson"),
}
_GZIP_MAGIC = b"\x1f\x8b"
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's words and options."""
    parser.add_argument(
        "input", nargs="*", metavar="INPUT",
        help="an mbox (an archive's t.mbox.gz too), patch files or a diff (- is stdin); "
        "with --tree also a range A..B; or two directories of headers, PREVIOUS CURRENT",
    )  # fmt: skip
    parser.add_argument(
        "--tree", metavar="DIR", help="a Xen tree or repository to read whole headers from"
    )
    parser.add_argument("--at", metavar="REV",
                        help="the revision to look at, or that patches apply to (HEAD); without "
                        "one and without patches, the files as they stand")  # fmt: skip
    parser.add_argument("--staged", action="store_true", help="review what is staged in the tree")
    parser.add_argument("--history", nargs="?", const="HEAD", metavar="REV",
                        help="every commit up to REV (or: all) that touched the headers"
                        )  # fmt: skip
    parser.add_argument("--base", metavar="RELEASE", help="the release to hold it against")
    repeated(parser, "--used", "RANGE", "numbers that are in use, as 22-34")
    registry(parser, "heed")
    parser.add_argument("--config", metavar="FILE",
                        help="waivers; else .xensave.toml or pyproject.toml")  # fmt: skip
    parser.add_argument("--format", choices=FORMATS, default="text", help="the output's form")
    parser.add_argument("--json", action="store_const", dest="format", const="json",
                        help="the same as --format json")  # fmt: skip
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="who sends the reply")
    parser.add_argument("--fail-on", choices=(ERROR, WARNING), default=ERROR,
                        help="the severity from which on the exit code is 1")  # fmt: skip
    parser.add_argument("--if-touched", action="store_true",
                        help="a change to no save header is fine, not an error")  # fmt: skip
    parser.add_argument("--rules", action="store_true", help="list the rules and exit")
    parser.add_argument("--rule", metavar="ID", help="explain one rule and exit")
    parser.add_argument("--emit-checker", metavar="FILE",
                        help="write a script for Xen's own tree: Python 2.7 or 3, no packages"
                        )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Reviews, prints, and says by the exit code whether it passes."""
    if args.rules:
        sys.stdout.write(_rules(args))
        return 0
    if args.rule:
        from xensave.views.review.rules import rule

        if args.format not in ("text", "json"):
            raise UsageError(f"--rule has no {args.format}: it is explained as text or json")
        sys.stdout.write(rule(args.rule, as_json=args.format == "json"))
        return 0
    if args.emit_checker:
        if args.input:
            raise UsageError("--emit-checker reads no INPUT")
        from xensave.review.checker import emit

        emit(args.emit_checker)
        return 0
    request = _request(args)
    if args.history is not None:
        return _history(request, args)
    from xensave.review.result import ReviewResult, Untouched
    from xensave.review.session import review

    try:
        result = review(request, read)
    except Untouched as error:
        if not args.if_touched:
            raise
        sys.stderr.write(f"xensave review: {escape(error.message)}\n")
        if args.format in _VIEWS:
            # Who reads a document is to find one, if an empty one.
            sys.stdout.write(_render(ReviewResult(()), args))
        return 0
    sys.stdout.write(_render(result, args))
    return 1 if result.fails(args.fail_on) else 0


def _rules(args: argparse.Namespace) -> str:
    """The rules in a form that can say them: SARIF has a place for them, others have none."""
    from xensave.views.review.rules import rules

    if args.format == "sarif":
        from xensave.review.result import ReviewResult

        return _render(ReviewResult(()), args)
    if args.format not in ("text", "json"):
        raise UsageError(f"--rules has no {args.format}: text, json and sarif hold rules")
    if args.format == "json":
        return rules(as_json=True)

    return folded(rules(), sys.stdout)


def _request(args: argparse.Namespace) -> Request:
    try:
        import clang.cindex
        import unidiff
    except ModuleNotFoundError as error:
        raise MissingExtra("review", error.name or "libclang", "review") from error
    from xensave.review.session import Request

    del clang, unidiff
    return Request(
        inputs=tuple(args.input),
        tree=args.tree,
        at=args.at,
        staged=args.staged,
        base=args.base,
        used=tuple(args.used),
        registries=tuple(args.registry),
        config=args.config,
    )


def read(name: str) -> bytes:
    """Returns the bytes of an input; "-" is stdin.

    What is packed by gzip, as archives give it, is undone.

    Raises SourceError or LimitExceeded for more than a thread of mails can be, Truncated or
    Malformed for gzip data that is damaged.
    """
    data = read_file(name)
    return _unpacked(name, data) if data.startswith(_GZIP_MAGIC) else data


def _unpacked(name: str, data: bytes) -> bytes:
    from xensave.source import open_source, read_all

    try:
        with open_source(data, max_size=FILE_LIMIT) as source:
            return read_all(source, FILE_LIMIT)
    except XensaveError as error:
        error.source = name
        raise


def _render(result: ReviewResult, args: argparse.Namespace) -> str:
    if args.format in _VIEWS:
        module, function = _VIEWS[args.format]
        view: Callable[[ReviewResult], str] = getattr(
            import_module(f"xensave.views.review.{module}"), function
        )
        return view(result)
    if args.format == "reply":
        from xensave.views.review.reply import reply

        return reply(result, args.sender)
    from xensave.views.review.text import text

    return folded(text(result, colour=coloured(sys.stdout, args.color)), sys.stdout)


def _history(request: Request, args: argparse.Namespace) -> int:
    from xensave.review.session import review_history
    from xensave.views.review.history import as_json, text

    if args.format not in ("text", "json"):
        raise UsageError("--history is printed as text or json")
    if request.inputs:
        raise UsageError("--history takes no input beside --tree")
    unread: list[str] = []

    def told() -> Iterator[CommitReview]:
        for entry in review_history(request, args.history):
            unread.extend([entry.commit] if entry.unread else [])
            yield entry

    entries = told()
    lines: Iterator[str] = text(entries) if args.format == "text" else as_json(entries)
    for line in lines:
        sys.stdout.write(line)
    return 2 if unread else 0
