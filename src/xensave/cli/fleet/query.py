"""`xensave query`: ask a scanned fleet, by a ready question or in SQL."""

from __future__ import annotations

import argparse
import sys

from xensave.cli.answer import print_lines
from xensave.errors import UsageError
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Ask a table that `xensave scan` wrote, or is writing. The table is called fleet; its columns"
    " stand in the documentation. SQL reads this table and nothing else. Exit 0: answered;"
    " 2: usage, or no such table."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    from xensave.fleet.query import QUESTIONS
    from xensave.views.fleet import Form

    parser.add_argument("table", metavar="TABLE", help="the table (fleet.parquet)")
    parser.add_argument("sql", metavar="SQL", nargs="?", help='as in "SELECT ... FROM fleet"')
    group = parser.add_mutually_exclusive_group()
    for question in QUESTIONS:
        flag = f"--{question.name}"
        if question.argument:
            group.add_argument(flag, metavar=question.argument, help=question.text)
        else:
            group.add_argument(flag, action="store_true", help=question.text)
    parser.add_argument(
        "--format",
        choices=[form.value for form in Form],
        default=Form.TABLE.value,
        help="how rows are printed (a table)",
    )
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument(
        "--unsafe", action="store_true", help="let the SQL read files and change settings"
    )


def run(args: argparse.Namespace) -> int:
    """Asks, and prints the answer."""
    from xensave.fleet.query import QUESTIONS, ask, ask_ready
    from xensave.views.fleet import Form, answer_lines

    asked = [
        (question.name, value if question.argument else None)
        for question in QUESTIONS
        if (value := getattr(args, question.name.replace("-", "_")))
    ]
    if len(asked) + (args.sql is not None) != 1:
        raise UsageError("ask one thing: SQL, or one of the ready questions; see --help")
    if asked:
        answer = ask_ready(args.table, *asked[0])
    else:
        answer = ask(args.table, args.sql, unsafe=args.unsafe)
    form = Form.JSON if args.json else Form(args.format)
    print_lines(answer_lines(answer, form, width_of(sys.stdout)))
    return 0
