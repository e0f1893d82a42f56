"""`xensave check`: would that hypervisor take this guest, and if not, which record and why."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xensave.cli.answer import print_json, print_lines, print_matrix
from xensave.cli.many import for_each
from xensave.cli.options import contents, host, host_of, positive, reading, walk
from xensave.engine.verdict import Verdict
from xensave.errors import UsageError
from xensave.image.input import Item, JudgedInput, judged_input
from xensave.policy.value import Policy
from xensave.toolstack.releases.series import SeriesVerdict
from xensave.views.answers.verdicts import (
    DEPENDS,
    REFUSED,
    RESTORES,
    assumption_lines,
    outcome_of,
    series_line,
    series_object,
    summary_line,
)
from xensave.views.text.escape import escape
from xensave.views.text.terminal import coloured, fold_width
from xensave.views.text.wrap import wrapped

if TYPE_CHECKING:
    from xensave.image.facts.emulator import Emulator
    from xensave.toolstack.judge import DomainOptions
    from xensave.toolstack.releases.matrix import VerdictRow

TROUBLE = 2

DESCRIPTION = (
    "Say what a Xen release makes of images and HVM contexts: whether it restores them, and if"
    " not, which record it refuses, with which errno, by which rule. Exit 0: all would restore;"
    " 1: any would not, or it depends; 2: usage, or an input could not be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="images and bare HVM contexts, and directories, globs and tars of them, compressed or"
        " not; - for standard input",
    )
    parser.add_argument(
        "-t",
        "--target",
        action="append",
        metavar="R",
        help='a release: "4.17" (every point release of it), "4.17.7", "RELEASE-4.17.7", "master",'
        ' or "all"; may be repeated',
    )
    parser.add_argument("--type", choices=["hvm", "pvh"], help="the domain's type (default: hvm)")
    parser.add_argument("--vcpus", type=positive, metavar="N", help="the domain's vCPUs")
    parser.add_argument("--viridian", action="store_true", help="the domain has Viridian on")
    parser.add_argument("--nested", action="store_true", help="the domain has nested HVM on")
    parser.add_argument("--shadow", action="store_true", help="the domain has shadow paging")
    parser.add_argument("--policy", metavar="IMAGE", help="take the CPU policy from this image")
    parser.add_argument(
        "--emulator",
        metavar="IMAGE",
        help="an image of an HVM guest saved on the target: its QEMU's sections and versions",
    )
    host(parser)
    parser.add_argument("--json", action="store_true", help="a line of JSON per input and target")
    parser.add_argument("--matrix", action="store_true", help="every release, as a table")
    parser.add_argument("--plot", metavar="FILE", help="draw the table (SVG, PNG or PDF)")
    parser.add_argument(
        "--only",
        choices=[RESTORES, REFUSED, DEPENDS],
        help="print these verdicts alone; the summary counts all",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="print a verdict a line, in a pipe as on a terminal: no assumptions, no folding",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    parser.add_argument(
        "--fail-on",
        choices=[REFUSED, DEPENDS],
        default=DEPENDS,
        help="the verdict from which on the exit code is 1 (depends: any that does not restore)",
    )
    reading(parser)
    walk(parser)


def run(args: argparse.Namespace) -> int:
    """Judges each input before each target; 0 where all would restore."""
    from xensave.engine.plugins import installed
    from xensave.toolstack.judge import Judge

    judge = Judge(
        _targets(args),
        _options(args),
        contents("policy", args.policy, _policy),
        host=host_of(args.host),
        emulators=contents("emulator", args.emulator, _emulators),
        plugins=installed(),
    )
    answers = _Table(args, judge.targets) if args.matrix or args.plot else _Report(args)

    def judged(item: Item) -> int:
        opened = judged_input(item, walk=args.walk)
        asked = [judge.ask(opened, target) for target in judge.targets]
        answers.add(opened, asked)
        return max(_code(answer.worst, args.fail_on) for answer in asked)

    codes = for_each("check", args.inputs, args, judged, bad_input=TROUBLE)
    answers.end(codes)
    return max(codes, default=TROUBLE)


def _code(verdict: Verdict, fail_on: str) -> int:
    if verdict.accepted is None:
        return int(fail_on == DEPENDS)
    return int(not verdict.accepted)


def _targets(args: argparse.Namespace) -> list[str]:
    """Returns the releases asked for, spelled as the caller did; "all" is each series."""
    from xensave.catalogue import release_names
    from xensave.catalogue.points import asked_for

    asked = args.target or (["all"] if args.matrix or args.plot else [])
    if not asked:
        raise UsageError("no target: give --target R, or --matrix for every release")
    targets: list[str] = []
    for name in asked:
        if name != "all":
            asked_for(name)
        targets += release_names() if name == "all" else [name]
    return list(dict.fromkeys(targets))


def _options(args: argparse.Namespace) -> DomainOptions:
    """Returns what the command line says of the domain."""
    from xensave.toolstack.judge import DomainOptions

    return DomainOptions(
        type=args.type,
        vcpus=args.vcpus,
        viridian=args.viridian or None,
        nested=args.nested or None,
        hap=False if args.shadow else None,
    )


def _policy(path: str) -> Policy | None:
    """Returns the CPU policy in an image; None, and a word on stderr, for a stream of version 2.

    Raises UsageError for what never carries one, such as a bare context.
    """
    from xensave.image import open_image
    from xensave.toolstack.domain import carried_policy

    with open_image(path) as image:
        policy = carried_policy(image.facts, f"the CPU policy in {path}")
        if policy is None and "libxc v2" not in image.containers:
            raise UsageError("carries no CPU policy").about(path)
    if policy is None:
        text = "a stream of version 2 carries no CPU policy: the default is taken"
        sys.stderr.write(f"xensave check: {escape(path)}: {text}\n")
    return policy


def _emulators(path: str) -> tuple[Emulator, ...]:
    """Returns the device models of an image. Raises UsageError where it holds no QEMU state."""
    from xensave.image import open_image

    with open_image(path) as image:
        emulators = image.emulators
    if not any(emulator.sections for emulator in emulators):
        raise UsageError(f"--emulator {path}: holds no state of QEMU")
    return emulators


class _Report:
    """Prints verdicts as they come, each assumption once, and at the end how many of each."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.json = args.json
        self.quiet = args.quiet
        self.only = args.only
        self.colour = coloured(sys.stdout, args.color)
        self.plain = args.plain
        self.width = sys.maxsize if args.plain else fold_width(sys.stdout)
        self.told: set[str] = set()
        self.counts: dict[str, Counter[str]] = {}

    def add(self, judged: JudgedInput, answers: list[SeriesVerdict]) -> None:
        """Counts the verdicts on an input, and prints those that are asked for."""
        for answer in answers:
            outcome = outcome_of(answer.worst)
            self.counts.setdefault(answer.target, Counter())[outcome] += 1
            if not self.quiet and self.only in (None, outcome):
                self._print(judged, answer)

    def _print(self, judged: JudgedInput, answer: SeriesVerdict) -> None:
        if self.json:
            print_json(series_object(judged.source, answer, judged.member), indent=None)
            return
        self._fold(series_line(judged.source, answer, colour=self.colour))
        for text in [] if self.plain else assumption_lines(answer.worst):
            if text not in self.told:
                self.told.add(text)
                self._fold(text)

    def end(self, codes: list[int]) -> None:
        """Prints the summary of several inputs."""
        unread = codes.count(TROUBLE)
        if self.json or self.quiet:
            return
        for target, counts in self.counts.items():
            if counts.total() + unread > 1:
                release = target if len(self.counts) > 1 else None
                self._fold(summary_line(counts, unread, release))

    def _fold(self, line: str) -> None:
        print_lines(wrapped(line, self.width, after="    "))


class _Table:
    """Gathers verdicts, and prints or draws them at the end: inputs by targets."""

    def __init__(self, args: argparse.Namespace, targets: Sequence[str]) -> None:
        self.args = args
        self.targets = tuple(targets)
        self.rows: list[VerdictRow] = []

    def add(self, judged: JudgedInput, answers: list[SeriesVerdict]) -> None:
        """Takes the verdicts on an input as a row."""
        from xensave.toolstack.releases.matrix import Split, VerdictRow

        verdicts = tuple(answer.worst for answer in answers)
        splits = tuple(() if answer.alike else (Split((), answer.answers),) for answer in answers)
        self.rows.append(VerdictRow(judged.source, verdicts, splits))

    def end(self, _codes: list[int]) -> None:
        """Prints or draws the table; nothing where no input could be judged."""
        from xensave.toolstack.releases.matrix import Matrix

        if not self.rows:
            return
        table = Matrix("What each release makes of it", self.targets, tuple(self.rows))
        print_matrix(self.args, table, text=self.args.matrix)
