"""`xensave convert`: make an image that another release restores."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TextIO

from xensave import catalogue
from xensave.cli.answer import print_json, print_lines
from xensave.cli.into import add_operands, beside, heading, into
from xensave.cli.options import contents, host, host_of, reading, repeated, target
from xensave.cli.run import complain
from xensave.container.formats import frame_names
from xensave.convert import (
    ConversionRefused,
    Plan,
    Settings,
    convert,
    load_rules,
    parse_drop,
    parse_map,
    plan_conversion,
)
from xensave.convert.plan import WouldLose
from xensave.engine import Policy
from xensave.errors import UsageError
from xensave.image import open_image
from xensave.source import Input, open_source, read_all
from xensave.source.compression.compress import Compression
from xensave.toolstack.domain import carried_policy
from xensave.views.answers.findings import finding_line
from xensave.views.answers.plan import plan_lines, plan_object
from xensave.views.text.terminal import coloured, width_of

METADATA_LIMIT = 1 << 20

DESCRIPTION = (
    "Convert an image, a stream or an HVM context for another release. The plan says every change,"
    " its reason and its loss. Exit 0: done; 1: refused, or bad input; 2: usage or input/output."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_operands(parser)
    target(parser, "the release that shall restore it")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="R",
        help="the release that wrote it, where it does not say (an HVM context alone)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan, and write nothing (OUT not needed)"
    )
    repeated(
        parser,
        "--map",
        "N=RECORD",
        "a record of a downstream becomes one of upstream's: 22=VMCE_VCPU",
    )
    repeated(
        parser, "--drop", "N", "leave a record out, loss or not: 22, or one of a stream, libxc:0x13"
    )
    parser.add_argument("--rules", metavar="FILE", help="a downstream's rules (TOML)")
    parser.add_argument(
        "--policy",
        metavar="IMAGE",
        help="an image whose CPU policy the guest is held to, where IN carries none",
    )
    host(parser)
    parser.add_argument("--repair", action="store_true", help="mend what older releases damaged")
    parser.add_argument(
        "--allow-loss", action="store_true", help="convert even if state is lost that is not zero"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as a JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not print the plan")
    parser.add_argument(
        "--compress",
        metavar="METHOD[:LEVEL]",
        help="compress the result: zstd, gzip, xz, bzip2 or none (by default as OUT is called)",
    )
    reading(parser)
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


def run(args: argparse.Namespace) -> int:
    """Plans, and carries the plan out: for one image, or for each of many."""
    converted = partial(_convert, args, _settings(args))
    good = "can be" if args.dry_run else "converted"
    return into("convert", args, converted, good=good, bad="refused", compress=args.compress)


def _convert(
    args: argparse.Namespace, settings: Settings, what: Input, name: str, out: str | None
) -> int:
    text = beside(out)
    limits = {"max_size": args.max_size, "format": args.input_format}
    try:
        if out is None:
            plan = plan_conversion(what, settings, **limits)
            plan.check(allow_loss=settings.allow_loss)
        else:
            plan = convert(what, out, settings, compression=_compression(args, out), **limits)
    except ConversionRefused as refusal:
        judged = not isinstance(refusal, WouldLose)
        _print(args, refusal.plan, text, name, out, refused=str(refusal), judged=judged)
        complain("convert", refusal, as_json=False)
        return 1
    _print(args, plan, text, name, out)
    return 0


def _compression(args: argparse.Namespace, out: str) -> Compression | None:
    if args.compress is None:
        return Compression.of_name(out)
    return None if args.compress == "none" else Compression.parse(args.compress)


def _settings(args: argparse.Namespace) -> Settings:
    rules = [parse_map(text) for text in args.map]
    rules += [parse_drop(text) for text in args.drop]
    if args.rules is not None:
        rules += load_rules(args.rules)
    settings = Settings(
        args.target,
        args.source,
        tuple(rules),
        policy=contents("policy", args.policy, _policy),
        host=host_of(args.host),
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
    if args.to is None and catalogue.release(args.target).stream_read:
        raise UsageError("--config is for --to, or for a target before Xen 4.6")
    with open_source(args.config) as source:
        return read_all(source, METADATA_LIMIT)


def _policy(path: str) -> Policy:
    with open_image(path) as image:
        policy = carried_policy(image.facts, path)
    if policy is None:
        raise UsageError(f"--policy {path}: that image carries no CPU policy")
    return policy


def _print(
    args: argparse.Namespace,
    plan: Plan,
    text: TextIO,
    name: str,
    out: str | None,
    *,
    refused: str | None = None,
    judged: bool = False,
) -> None:
    if args.quiet:
        return
    if args.json:
        print_json(plan_object(plan, refused, source=name, output=out), text, indent=None)
        return
    colour = coloured(text, args.color)
    text.write(heading(args, name))
    print_lines(plan_lines(plan, width_of(text), refused=judged, colour=colour), text)
    print_lines((finding_line(name, each, colour=colour) for each in plan.findings), text)
    text.flush()
