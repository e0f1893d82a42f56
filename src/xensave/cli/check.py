"""`xensave check`: would that hypervisor take this guest, and if not, which record and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from xensave.cli.options import input_format, positive, size
from xensave.errors import UsageError
from xensave.views.escape import escape
from xensave.views.terminal import coloured, width_of

if TYPE_CHECKING:
    from xensave.engine.verdict import Verdict
    from xensave.image.input import Given
    from xensave.policy.value import Policy
    from xensave.toolstack.judge import Judge, Said

DESCRIPTION = (
    "Say what a Xen release makes of images and HVM contexts: whether it restores them, and if"
    " not, which record it refuses, with which errno, by which rule. Exit 0: all would restore;"
    " 1: any would not, or it depends; 2: usage, or an input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="an image, a bare HVM context, or a directory or tar of contexts; compressed or not;"
        " - for standard input",
    )
    parser.add_argument(
        "-t",
        "--target",
        action="append",
        metavar="R",
        help='a release: "4.17" (its newest point release), "4.17.7", "RELEASE-4.17.7", "master",'
        ' or "all"; may be repeated',
    )
    parser.add_argument("--type", choices=["hvm", "pvh"], help="the domain's type (default: hvm)")
    parser.add_argument("--vcpus", type=positive, metavar="N", help="the domain's vCPUs")
    parser.add_argument("--viridian", action="store_true", help="the domain has Viridian on")
    parser.add_argument("--nested", action="store_true", help="the domain has nested HVM on")
    parser.add_argument("--shadow", action="store_true", help="the domain has shadow paging")
    parser.add_argument("--policy", metavar="IMAGE", help="take the CPU policy from this image")
    parser.add_argument("--json", action="store_true", help="a line of JSON per input and target")
    parser.add_argument("--matrix", action="store_true", help="every release, as a table")
    parser.add_argument("--plot", metavar="FILE", help="draw the table (SVG, PNG or PDF)")
    input_format(parser)
    parser.add_argument(
        "--max-size",
        type=size,
        metavar="SIZE",
        help="the most that an input may decompress to",
    )


def run(args: argparse.Namespace) -> int:
    """Judge each input before each target; 0 where all would restore."""
    from xensave.engine.plugins import installed
    from xensave.toolstack.judge import Judge

    judge = Judge(_targets(args), _said(args), _policy(args.policy), installed())
    if args.matrix or args.plot:
        return _matrix(args, judge)
    say = _sayer(args)
    worst = 0
    for name in args.inputs:
        for given, target, verdict in _verdicts(name, judge, args):
            say(given, target, verdict)
            worst = max(worst, 0 if verdict.accepted else 1)
    return worst


def _verdicts(
    name: str, judge: Judge, args: argparse.Namespace
) -> Iterator[tuple[Given, str, Verdict]]:
    from xensave.image.input import given

    for found in given(name, max_size=args.max_size, format=args.input_format):
        for target in judge.targets:
            yield found, target, judge.judge(found, target)


def _targets(args: argparse.Namespace) -> list[str]:
    """Return the releases asked for, spelled as the caller did; "all" is each series."""
    from xensave.catalogue import normalise, release_names

    asked = args.target or (["all"] if args.matrix or args.plot else [])
    if not asked:
        raise UsageError("no target: give --target R, or --matrix for every release")
    found: list[str] = []
    for name in asked:
        if name != "all":
            normalise(name)
        found += release_names() if name == "all" else [name]
    return list(dict.fromkeys(found))


def _said(args: argparse.Namespace) -> Said:
    """Return what the command line says of the domain."""
    from xensave.toolstack.judge import Said

    return Said(
        type=args.type,
        vcpus=args.vcpus,
        viridian=args.viridian or None,
        nested=args.nested or None,
        hap=False if args.shadow else None,
    )


def _policy(path: str | None) -> Policy | None:
    """Return the CPU policy in an image; None, and a word on stderr, for a stream of version 2.

    Raises UsageError for what never carries one, such as a bare context.
    """
    if path is None:
        return None
    from xensave.image import open_image
    from xensave.toolstack.image import carried_policy

    with open_image(path) as image:
        policy = carried_policy(image, f"the CPU policy in {path}")
        if policy is None and "libxc v2" not in image.containers:
            raise UsageError(f"{path}: carries no CPU policy")
    if policy is None:
        text = "a stream of version 2 carries no CPU policy: the default is taken"
        sys.stderr.write(f"xensave check: {escape(path)}: {text}\n")
    return policy


def _sayer(args: argparse.Namespace) -> Callable[[Given, str, Verdict], None]:
    """Return what prints a verdict."""
    from xensave.views.verdicts import assumption_lines, verdict_json, verdict_line

    if args.json:
        return lambda found, target, verdict: print(
            verdict_json(found.source, target, verdict, found.member)
        )
    colour = coloured(sys.stdout, args.color)
    told: set[tuple[str, str]] = set()

    def say(found: Given, target: str, verdict: Verdict) -> None:
        print(verdict_line(found.source, target, verdict, colour=colour))
        for line in assumption_lines(verdict):
            if verdict.accepted is not False and (found.source, line) not in told:
                told.add((found.source, line))
                print(line)

    return say


def _matrix(args: argparse.Namespace, judge: Judge) -> int:
    """Print or draw a table: inputs by targets."""
    from xensave.toolstack.matrix import Matrix, Row
    from xensave.views.matrix import matrix_json, matrix_text, plot

    rows: dict[str, list[Verdict]] = {}
    for name in args.inputs:
        for found, _, verdict in _verdicts(name, judge, args):
            rows.setdefault(found.source, []).append(verdict)
    table = Matrix(
        "What each release makes of it",
        tuple(judge.targets),
        tuple(Row(source, tuple(verdicts)) for source, verdicts in rows.items()),
    )
    if args.plot:
        plot(table, args.plot)
    if args.json:
        print(matrix_json(table))
    elif args.matrix or not args.plot:
        print(matrix_text(table, width_of(sys.stdout)))
    return 0 if table.all_restore else 1
