"""`xensave records`: the number space of a release, and a record's layout and history."""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from xensave.cli.answer import print_answer, print_json, print_lines
from xensave.cli.options import registries_of, registry, space
from xensave.errors import UsageError
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Show the number space of a release, or a record's layout and its history across releases."
)
# Exit 1 is an answer here, or not in use: a file that cannot be read is trouble.
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "name", metavar="NAME", nargs="*", help="a record, by name or number; more with --format"
    )
    parser.add_argument(
        "--format",
        choices=("c", "cstruct", "kaitai", "imhex", "markdown"),
        help="the records' layouts (all, without NAME) for another tool: a C header,"
        " dissect.cstruct, Kaitai Struct, an ImHex pattern (untested), a page",
    )
    parser.add_argument("--release", metavar="R", help="the release (the newest)")
    parser.add_argument(
        "--layout",
        metavar="BITS",
        type=int,
        choices=(32, 64),
        help="with NAME: the struct as 64 or 32-bit x86 lays it out (64)",
    )
    registry(parser, "show")
    space(
        parser,
        "another number space: hvm-param, hypercall, memory-op, mapspace, hvm-op, dm-op,"
        " vcpu-op, domctl, sysctl, evtchn-op, grant-op, elf-note, feature, libxc-record,"
        " libxl-record, xenstore-record, arm-save-record",
    )
    parser.add_argument(
        "--source",
        metavar="X",
        help="which numbers are taken there: a tree, GITDIR@REV, an xen-syms file, a registry",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw which release saves which layout of each record (.svg, .png or .pdf)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints, or draws, what was asked for."""
    names = args.name
    if args.format:
        return _format(args, names)
    if len(names) > 1:
        raise UsageError("one NAME at a time; more go with --format")
    args.name = names[0] if names else None
    _check(args)
    if args.plot:
        from xensave.views.catalogue.records_plot import plot

        plot(args.plot)
        return 0
    if args.source:
        _source(args)
    elif args.space:
        _space(args)
    elif args.name:
        _record(args)
    else:
        _numbers(args)
    return 0


def _format(args: argparse.Namespace, names: list[str]) -> int:
    """The layouts of a release in another tool's language."""
    from xensave.catalogue import layout, newest_series, release
    from xensave.numbers.space import release_title
    from xensave.views.layouts import render
    from xensave.views.layouts.parts import described

    if args.json or args.plot or args.space or args.source or args.layout:
        raise UsageError("--format goes with records and --release alone")
    name = args.release or newest_series()
    title = release_title(name)
    bindings = {binding.name: binding for binding in release(name).bindings}
    wanted = [_name(text, args.release) for text in names]
    for text, record in zip(names, wanted, strict=True):
        if record not in bindings:
            raise UsageError(f"no record {text} in Xen {title}")
    chosen = [each for each in bindings.values() if not names or each.name in wanted]
    records = [described(layout(binding.layout), binding) for binding in chosen]
    sys.stdout.write(render(args.format, records, title))
    return 0


def _check(args: argparse.Namespace) -> None:
    asked = [
        name
        for name, value in (("NAME", args.name), ("--source", args.source), ("--plot", args.plot))
        if value is not None
    ]
    if len(asked) > 1 or (args.plot and args.space):
        asked += ["--space"] * bool(args.plot and args.space)
        raise UsageError(f"{' and '.join(asked)} do not go together")
    if args.source and args.release:
        raise UsageError("--source is a tree, not a --release")
    if args.layout and not args.name:
        raise UsageError("--layout goes with the name of a record")
    if args.plot and (args.json or args.release or args.registry):
        raise UsageError("--plot draws every release: it takes no --json, --release or --registry")
    if args.registry and asked:
        raise UsageError("--registry goes with a number space, not with one record")


def _numbers(args: argparse.Namespace) -> None:
    from xensave.catalogue import newest_series, release
    from xensave.numbers.space import release_title, rows
    from xensave.views.catalogue.numbers import space_lines, space_objects

    name = args.release or newest_series()
    table = rows(name, registries_of(args.registry))
    code_max = release(name).code_max
    title = f"HVM save records, Xen {release_title(name)}; HVM_SAVE_CODE_MAX is {code_max}"
    lines = space_lines(table, width_of(sys.stdout))
    print_answer(args, space_objects(table), chain((title, ""), lines))


def _record(args: argparse.Namespace) -> None:
    from xensave.catalogue import layout, shape
    from xensave.numbers.history import binding_of, history, names_over_time
    from xensave.numbers.points import bound_in
    from xensave.views.catalogue.record_layout import (
        history_lines,
        history_objects,
        layout_lines,
        layout_object,
    )

    name = _name(args.name, args.release)
    if name is None:
        _number(args)
        return
    versions = history(name)
    bound = binding_of(name, args.release)
    if bound is None:
        raise UsageError(f"no record {name} in Xen {args.release}")
    release, binding = bound
    struct, bits = layout(binding.layout), args.layout or 64
    shaped = shape(struct, bits)
    points = bound_in(name, release)
    if args.json:
        described = layout_object(struct, shaped, binding, release, bits=bits, points=points)
        print_json({**described, "history": history_objects(versions)})
        return
    width = width_of(sys.stdout)
    print_lines(
        layout_lines(struct, shaped, binding, release, bits=bits, width=width, points=points)
    )
    sys.stdout.write("\n")
    print_lines(history_lines(versions, names_over_time(binding.typecode), width))


def _number(args: argparse.Namespace) -> None:
    """What became of a number that no record has: free, or kept for whom."""
    from xensave.catalogue import newest_series
    from xensave.numbers.space import NumberRow, release_title, rows
    from xensave.views.catalogue.spaces import number_line

    name, number = args.release or newest_series(), int(args.name, 0)
    known = next((row for row in rows(name, registries_of([])) if row.number == number), None)
    row = known or NumberRow(number)
    title = release_title(name)
    line = number_line("HVM save records", title, row)
    print_answer(args, {"release": title, **row._asdict()}, [line])


def _source(args: argparse.Namespace) -> None:
    from xensave.catalogue.owned import SAVE_RECORD
    from xensave.numbers.sources import claims_of
    from xensave.views.catalogue.spaces import source_lines, source_object

    claims = claims_of(args.source, args.space or SAVE_RECORD)
    print_answer(args, source_object(claims), source_lines(claims, width_of(sys.stdout)))


def _name(text: str, release: str | None) -> str | None:
    """The record that a person means: any case, or its number; None for a number without one."""
    from xensave.catalogue import name_of, record_names
    from xensave.catalogue.owned import TYPECODE_MAX

    try:
        number = int(text, 0)
    except ValueError:
        known = {name.casefold(): name for name in record_names()}
        if text.casefold() not in known:
            raise UsageError(f"no record {text!r}; there are {', '.join(known.values())}") from None
        return known[text.casefold()]
    if not 0 <= number <= TYPECODE_MAX:
        raise UsageError(f"{number} is no number of a record: typecodes have 16 bits")
    return name_of(number, release)


def _space(args: argparse.Namespace) -> None:
    from xensave.catalogue import newest_series, space
    from xensave.numbers.space import release_title
    from xensave.numbers.spaces import limit_at, number_named, space_rows, state_of
    from xensave.views.catalogue.spaces import number_line, space_lines, space_objects

    numbers, name = space(args.space), args.release or newest_series()
    title, registries = release_title(name), registries_of(args.registry)
    if args.name:
        row = state_of(args.space, number_named(numbers, args.name), name, registries)
        line = number_line(numbers.title, title, row)
        print_answer(args, {"release": title, **row._asdict()}, [line])
        return
    table = space_rows(args.space, name, registries)
    limit = limit_at(args.space, name)
    lines = space_lines(numbers.title, title, limit, table, width_of(sys.stdout))
    print_answer(args, space_objects(table), lines)
