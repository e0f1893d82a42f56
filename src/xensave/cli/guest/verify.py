"""`xensave verify`: does an image keep to the specifications."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from xensave.cli.answer import print_answer
from xensave.cli.many import counted, for_each
from xensave.cli.options import reading
from xensave.cli.run import complain
from xensave.container.events import Event
from xensave.errors import SourceError, UsageError, XensaveError
from xensave.findings import ERROR, NOTE, WARNING, Finding
from xensave.image.input import Item
from xensave.rules.stream.run import Verification, stopped
from xensave.views.answers.findings import (
    Repeats,
    finding_line,
    json_end,
    json_pieces,
    summary_line,
)
from xensave.views.records.event import event_line
from xensave.views.text.terminal import coloured, fold_width
from xensave.views.text.wrap import plural, wrapped

DESCRIPTION = (
    "Check images against the specifications of their formats. Exit 0: valid; 1: findings;"
    " 2: an input could not be read. Takes the options of verify-stream-v2 as well."
)

_FAILING = {WARNING: (ERROR, WARNING), ERROR: (ERROR,)}
_NOTES_KEPT = 1000
_SHOWN_OF_A_RULE = 20

Say = Callable[[str, str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="*",
        help="images, directories, globs and tars of them, compressed or not; - for standard input,"
        " which is also the default",
    )
    parser.add_argument(
        "-i", "--in", dest="input", metavar="FD|FILE", help="one more input: a descriptor or a file"
    )
    reading(parser, "-f", "--format")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="name every record, and print notes"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    parser.add_argument(
        "--only",
        choices=["findings"],
        help="say nothing of images that are valid; the summary counts them",
    )
    parser.add_argument(
        "--fail-on",
        choices=[ERROR, WARNING],
        default=WARNING,
        help="the severity from which on an image is not valid (default: warning)",
    )
    parser.add_argument("--syslog", action="store_true", help="write to syslog, not the terminal")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each image")
    parser.add_argument(
        "--all-findings",
        action="store_true",
        help=f"print all findings of a rule, not {_SHOWN_OF_A_RULE} at most (--json always does)",
    )
    parser.add_argument("--rules", action="store_true", help="list the rules, and check nothing")


def run(args: argparse.Namespace) -> int:
    """Verifies each input; the exit code is that of the worst."""
    if args.json and (args.syslog or args.verbose):
        raise UsageError("--json goes with neither --verbose nor --syslog")
    if args.rules:
        return _list_rules(args)
    inputs: list[str | int] = list(args.images)
    if args.input is not None:
        inputs.append(int(args.input) if args.input.isdecimal() else args.input)
    say = _sayer(args)

    def verified(item: Item) -> int:
        verification = Verification(item.source, args.input_format, apart=args.verbose)
        check = _Check(item.name, verification, args, say)
        if args.json and not args.quiet:
            check.print_json()
        else:
            check.print_text()
        return check.code

    def failed(name: str, error: XensaveError) -> int:
        if isinstance(error, (SourceError, UsageError)):
            if not args.quiet:
                complain("verify", error, as_json=args.json)
            return 2
        # Compressed input that is corrupt in its first bytes.
        say(ERROR, finding_line(name, stopped(error)))
        return 1

    codes = for_each("verify", inputs or ["-"], args, verified, failed=failed)
    if len(codes) > 1 and not args.json:
        say(NOTE, counted(codes, "valid", "with findings"))
    return max(codes, default=0)


class _Check:
    """One input's way through the rules to the output."""

    def __init__(
        self, name: str, verification: Verification, args: argparse.Namespace, say: Say
    ) -> None:
        self.name = name
        self.verification = verification
        self.args = args
        self.say = say
        self.counts: Counter[str] = Counter()
        self.colour = not args.syslog and coloured(sys.stdout, args.color)

    @property
    def code(self) -> int:
        return int(any(self.counts[severity] for severity in _FAILING[self.args.fail_on]))

    def steps(self) -> Iterator[tuple[Event | None, list[Finding]]]:
        """Yields events with findings; where the stream stops, a last finding without event."""
        try:
            for event, findings in self.verification.events():
                self.counts.update(finding.severity for finding in findings)
                yield event, findings
        except (SourceError, UsageError):
            raise
        except XensaveError as error:
            finding = stopped(error)
            self.counts[finding.severity] += 1
            yield None, [finding]

    def print_text(self) -> None:
        repeats = Repeats(None if self.args.all_findings else _SHOWN_OF_A_RULE)
        for event, findings in self.steps():
            if event is not None and self.args.verbose:
                self.say(NOTE, event_line(event))
            for finding in findings:
                wanted = finding.severity != NOTE or self.args.verbose
                if wanted and repeats.admit(finding):
                    line = finding_line(self.name, finding, colour=self.colour)
                    self.say(finding.severity, line)
        for line in repeats.lines(self.name):
            self.say(NOTE, line)
        if self.args.only is None or self.counts[ERROR] or self.counts[WARNING]:
            self.say(NOTE, summary_line(self.name, self.counts, self.about()))

    def print_json(self) -> None:
        notes: list[Finding] = []

        def judged() -> Iterator[Finding]:
            for _, findings in self.steps():
                for finding in findings:
                    if finding.severity != NOTE:
                        yield finding
                    elif len(notes) < _NOTES_KEPT:
                        notes.append(finding)

        for piece in json_pieces(self.name, judged()):
            sys.stdout.write(piece)
        state = self.verification.state
        sys.stdout.write(json_end(self._fields(notes, state.records)) + "\n")

    def _fields(self, notes: list[Finding], records: int) -> dict[str, object]:
        from xensave.views.answers.findings import finding_object

        return {
            "notes": [finding_object(note) for note in notes],
            "valid": self.code == 0,
            "format": self.verification.state.formats,
            "records": records,
            "bytes": self.verification.position,
        }

    def about(self) -> str:
        """Returns what the stream is, in a line."""
        state = self.verification.state
        parts = [", ".join(state.formats)] if state.formats else []
        if state.domain is not None:
            parts.append(
                f"{state.domain.type_name} guest of Xen {state.domain.xen_major}."
                f"{state.domain.xen_minor}"
            )
        records = f"{state.records} {plural(state.records, 'record')}"
        parts.append(f"{records}, {self.verification.position} bytes")
        return "; ".join(parts)


def _sayer(args: argparse.Namespace) -> Say:
    """Returns what takes a severity and a line to where the output goes."""
    if args.quiet:
        return lambda _severity, _line: None
    if not args.syslog:
        width = fold_width(sys.stdout)
        return lambda _severity, line: print("\n".join(wrapped(line, width, after="    ")))
    import syslog

    syslog.openlog("xensave-verify", syslog.LOG_PID)
    levels = {ERROR: syslog.LOG_ERR, WARNING: syslog.LOG_WARNING, NOTE: syslog.LOG_INFO}
    return lambda severity, line: syslog.syslog(levels[severity], line)


def _list_rules(args: argparse.Namespace) -> int:
    from xensave.rules.stream.table import rules
    from xensave.views.text.table import table_lines

    rows = [(rule.id, rule.severity, rule.sentence) for rule in rules()]
    head = ("rule", "severity", "purpose")
    lines = table_lines(head, rows, fold_width(sys.stdout))
    print_answer(args, [dict(zip(head, row, strict=True)) for row in rows], lines)
    return 0
