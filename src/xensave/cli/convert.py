"""`xensave convert`: make an image that another release restores."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TextIO

from xensave.cli.options import input_format, size
from xensave.cli.run import complain
from xensave.convert import (
    Plan,
    Refused,
    Settings,
    convert,
    load_rules,
    parse_drop,
    parse_map,
    plan_conversion,
)
from xensave.convert.reframe import frame_names
from xensave.engine import Policy
from xensave.errors import UsageError
from xensave.image import open_image
from xensave.source import open_source, read_all
from xensave.toolstack.domain import carried_policy
from xensave.views.findings import finding_line
from xensave.views.plan import plan_lines, plan_object
from xensave.views.terminal import coloured, width_of

METADATA_LIMIT = 1 << 20

DESCRIPTION = (
    "Convert an image, a stream or an HVM context for another release. The plan says every change,"
    " its reason and its loss. Exit 0: done; 1: refused, or bad input; 2: usage or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="IN", help="the image; - for standard input")
    parser.add_argument(
        "output", metavar="OUT", nargs="?", help="where the result goes; - for standard output"
    )
    parser.add_argument(
        "-t", "--target", metavar="R", required=True, help="the release that shall restore it"
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="R",
        help="the release that wrote it, where it does not say (an HVM context alone)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan, and write nothing (OUT not needed)"
    )
    parser.add_argument(
        "--map",
        metavar="N=RECORD",
        action="append",
        default=[],
        help="a record of a downstream becomes one of upstream's: 22=VMCE_VCPU",
    )
    parser.add_argument(
        "--drop", metavar="N", action="append", default=[], help="leave a record out, loss or not"
    )
    parser.add_argument("--rules", metavar="FILE", help="a downstream's rules (TOML)")
    parser.add_argument(
        "--policy",
        metavar="IMAGE",
        help="an image whose CPU policy the guest is held to, where IN carries none",
    )
    parser.add_argument("--repair", action="store_true", help="mend what older releases damaged")
    parser.add_argument(
        "--allow-loss", action="store_true", help="convert even if state is lost that is not zero"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as a JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not print the plan")
    input_format(parser)
    parser.add_argument(
        "--to",
        choices=frame_names(),
        help="put the stream into this toolstack's frame (default: the one that it came in)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="what --to needs and IN lacks: xl's configuration, libvirt's XML, xenopsd's VM record",
    )
    parser.add_argument(
        "--max-size", metavar="SIZE", type=size, help="the most that IN may decompress to"
    )


def run(args: argparse.Namespace) -> int:
    """Plan, and carry the plan out."""
    if args.output is None and not args.dry_run:
        raise UsageError("where to? name OUT, or ask for --dry-run")
    settings = _settings(args)
    # The image itself has standard output where OUT is "-".
    out = sys.stderr if args.output == "-" and not args.dry_run else sys.stdout
    try:
        if args.dry_run:
            plan = plan_conversion(
                args.input, settings, max_size=args.max_size, format=args.input_format
            )
            plan.check(allow_loss=settings.allow_loss)
        else:
            plan = convert(
                args.input,
                args.output,
                settings,
                max_size=args.max_size,
                format=args.input_format,
            )
    except Refused as refusal:
        _print(args, refusal.plan, out, str(refusal))
        complain("convert", refusal, as_json=False)
        return 1
    _print(args, plan, out)
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    rules = [parse_map(text) for text in args.map]
    rules += [parse_drop(text) for text in args.drop]
    if args.rules is not None:
        rules += load_rules(args.rules)
    settings = Settings(
        args.target,
        args.source,
        tuple(rules),
        policy=_policy(args.policy) if args.policy is not None else None,
        repair=args.repair,
        allow_loss=args.allow_loss,
        to=args.to,
        metadata=_metadata(args),
    )
    settings.check()
    return settings


def _metadata(args: argparse.Namespace) -> bytes | None:
    if args.config is None:
        return None
    if args.to is None:
        raise UsageError("--config is for --to, which says the frame that it belongs into")
    with open_source(args.config) as source:
        return read_all(source, METADATA_LIMIT)


def _policy(path: str) -> Policy:
    with open_image(path) as image:
        policy = carried_policy(image.facts, path)
    if policy is None:
        raise UsageError(f"--policy {path}: that image carries no CPU policy")
    return policy


def _print(args: argparse.Namespace, plan: Plan, out: TextIO, refused: str | None = None) -> None:
    if args.quiet:
        return
    if args.json:
        out.write(json.dumps(plan_object(plan, refused)) + "\n")
        return
    colour = coloured(out, args.color)
    for line in plan_lines(plan, width_of(out), colour=colour):
        out.write(line + "\n")
    for finding in plan.findings:
        out.write(finding_line(args.input, finding, colour=colour) + "\n")
    out.flush()
