"""`xensave records`: the number space of a release, and a record's layout and history."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from xensave.errors import UsageError

DESCRIPTION = (
    "Show the number space of a release, or a record's layout and its history across releases."
)
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a record, by name or number")
    parser.add_argument("--release", metavar="R", help="the release (the newest)")
    parser.add_argument(
        "--layout",
        metavar="BITS",
        type=int,
        choices=(32, 64),
        help="with NAME: the struct as 64 or 32-bit x86 lays it out (64)",
    )
    parser.add_argument(
        "--registry",
        metavar="FILE",
        action="append",
        default=[],
        help="a vendor's registry to show besides the shipped ones; may be repeated",
    )
    parser.add_argument(
        "--space",
        metavar="S",
        help="another numbered ABI: hvm-param, hypercall, memory-op, mapspace, libxc-record,"
        " libxl-record",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw which release saves which layout of each record (.svg, .png or .pdf)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print, or draw, what was asked for."""
    _check(args)
    if args.plot:
        from xensave.views.records_plot import plot

        plot(args.plot)
        return 0
    if args.space:
        _space(args)
    elif args.name:
        _record(args)
    else:
        _numbers(args)
    return 0


def _check(args: argparse.Namespace) -> None:
    asked = [
        name
        for name, value in (("NAME", args.name), ("--space", args.space), ("--plot", args.plot))
        if value is not None
    ]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} do not go together")
    if args.layout and not args.name:
        raise UsageError("--layout goes with the name of a record")
    if args.plot and (args.json or args.release or args.registry):
        raise UsageError("--plot draws every release: it takes no --json, --release or --registry")
    if args.registry and asked:
        raise UsageError("--registry goes with the number space alone")


def _numbers(args: argparse.Namespace) -> None:
    from xensave.catalogue.registry import read_registry, shipped_names, shipped_registry
    from xensave.numbers.space import newest, rows
    from xensave.views.numbers import space_lines, space_objects
    from xensave.views.terminal import width_of

    registries = [shipped_registry(name) for name in shipped_names()]
    registries += [read_registry(path) for path in args.registry]
    name = args.release or newest()
    table = rows(name, registries)
    if args.json:
        _json(space_objects(table))
    else:
        _lines(space_lines(table, width_of(sys.stdout)))


def _record(args: argparse.Namespace) -> None:
    from xensave.catalogue import layout, shape
    from xensave.numbers.history import binding_of, history, names_over_time
    from xensave.views.record_layout import (
        history_lines,
        history_objects,
        layout_lines,
        layout_object,
    )
    from xensave.views.terminal import width_of

    name = _name(args.name, args.release)
    versions = history(name)
    bound = binding_of(name, args.release)
    if bound is None:
        raise UsageError(f"no record {name} in Xen {args.release}")
    release, binding = bound
    found, bits = layout(binding.layout), args.layout or 64
    shaped = shape(found, bits)
    if args.json:
        described = layout_object(found, shaped, binding, release, bits)
        _json({**described, "history": history_objects(versions)})
        return
    width = width_of(sys.stdout)
    _lines(layout_lines(found, shaped, binding, release, bits=bits, width=width))
    sys.stdout.write("\n")
    _lines(history_lines(versions, names_over_time(binding.code), width))


def _name(text: str, release: str | None) -> str:
    """The record that a person means: any case, or its number."""
    from xensave.catalogue import name_of, record_names

    try:
        number = int(text, 0)
    except ValueError:
        known = {name.casefold(): name for name in record_names()}
        if text.casefold() not in known:
            raise UsageError(f"no record {text!r}; there are {', '.join(known.values())}") from None
        return known[text.casefold()]
    name = name_of(number, release)
    if name is None:
        where = f"in Xen {release}" if release else "in any release"
        raise UsageError(f"no record has number {number} {where}")
    return name


def _space(args: argparse.Namespace) -> None:
    from xensave.catalogue import normalise, release_names, space
    from xensave.views.numbers import other_space_lines, other_space_objects
    from xensave.views.terminal import width_of

    found = space(args.space)
    numbers = list(found.numbers)
    if args.release:
        order = release_names()
        at = order.index(normalise(args.release))
        numbers = [n for n in numbers if order.index(n.first) <= at <= order.index(n.last)]
    if args.json:
        _json(other_space_objects(numbers))
    else:
        _lines(other_space_lines(found, numbers, width_of(sys.stdout)))


def _json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _lines(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
