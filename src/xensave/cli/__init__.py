"""The command line: one module a command, imported only when it runs.

A command module has `DESCRIPTION`, `add_arguments(parser)` and `run(args) -> int`, which
returns the exit code: 0 fine, 1 the answer is no (findings, a refusal, bad input), 2 usage or
input/output. Raised XensaveErrors become one line on stderr here.
"""

from __future__ import annotations

import gc
import sys

from xensave import __version__

GROUPS: dict[str, dict[str, str]] = {
    "guest": {
        "show": "what a saved guest holds",
        "verify": "does an image keep to the specifications",
        "check": "would that hypervisor take this guest",
        "diff": "what differs between two images, or two moments of a guest",
        "policy": "a guest's or a host's CPU policy, and what becomes of it elsewhere",
        "memory": "a saved guest's memory: its map, its bytes, what it holds where",
        "report": "write a page about saved guests",
        "extract": "take a guest's memory out, for gdb, drgn, crash and volatility3",
        "gdbserver": "serve a saved guest to gdb: registers and memory, read only",
        "drgn": "drgn's shell over a saved Linux guest",
        "volatility-path": "the folder of the plug-in that opens images in volatility3",
    },
    "change": {
        "convert": "make an image that another release restores",
        "thin": "a live stream with the last contents of each frame only",
        "edit": "change fields of a saved guest",
        "decode": "print an image as JSON, page contents left where they are",
        "encode": "make an image of that JSON again",
        "convert-legacy-stream": "what Xen's script of that name does",
    },
    "fleet": {
        "scan": "many images into a table, from wherever they lie",
        "query": "ask a scanned fleet, in ready questions or SQL",
        "plan": "an upgrade of a scanned fleet, as a list and a script",
    },
    "numbers": {
        "records": "the number space of a release, and a record's layout and history",
        "compare": "all that changed for saved guests between two releases",
        "matrix": "which release restores which release's guests",
        "clash": "what two or more sources claim differently",
        "suggest": "which numbers a downstream should take",
        "cost": "what a larger maximum costs a hypervisor",
        "catalogue": "build the catalogue from a Xen repository",
        "review": "review a change to the number space",
        "patchwork": "review the series of a Patchwork project",
    },
    "shell": {
        "completion": "what a shell needs to complete these words",
    },
}
"""The commands by the folder that their modules stand in, and what each is for."""

COMMANDS = {name: purpose for group in GROUPS.values() for name, purpose in group.items()}


INTERRUPTED = 130

COLLECT_EVERY = 100_000
"""Objects between two looks for cycles in a process of its own: what is imported has none."""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if argv is None:
        gc.set_threshold(COLLECT_EVERY)
    if sys.stdout is None or sys.stderr is None:
        from xensave.cli.output import stand_in

        stand_in()
    try:
        code = _run(words)
        sys.stdout.flush()
    except OSError as error:
        return _failed(words[0] if words and words[0] in COMMANDS else None, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    if argv is None:
        # The process ends: the interpreter need not look for cycles in all that was imported.
        gc.freeze()
    return code


def _failed(command: str | None, error: OSError) -> int:
    try:
        from xensave.cli.output import failed
    except OSError:
        # No more files can be opened, not that module either.
        sys.stderr.write(f"xensave: {error.strerror}\n")
        return 2
    return failed(command, error)


def module_of(name: str) -> str:
    """Returns the name of a command's module.

    >>> module_of("convert-legacy-stream")
    'xensave.cli.change.convert_legacy_stream'
    """
    folder = next(folder for folder, group in GROUPS.items() if name in group)
    return f"xensave.cli.{folder}.{name.replace('-', '_')}"


def _run(words: list[str]) -> int:
    if not words:
        sys.stderr.write(_usage())
        return 2
    if words[0] in ("--version", "-V"):
        sys.stdout.write(f"xensave {__version__}\n")
        return 0
    if words[0] == "help" and words[1:]:
        words = [*words[1:], "--help"]
    if words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_shown(_usage()))
        return 0
    if words[0] not in COMMANDS:
        return _unknown(words)
    from xensave.cli.run import run_command

    return run_command(words[0], words[1:])


def _unknown(words: list[str]) -> int:
    if "--version" in words:
        return _run(["--version"])
    from xensave.cli.parser import suggestion

    kind = "option" if words[0].startswith("-") else "command"
    more = suggestion(words[0], COMMANDS)
    sys.stderr.write(f"xensave: unknown {kind} {words[0]!r}{more}; see xensave --help\n")
    return 2


def _shown(text: str) -> str:
    """Folds the help for a terminal; a pipe does not pay for what folds."""
    if sys.stdout.isatty():
        from xensave.views.text.terminal import folded

        return folded(text, sys.stdout, hang=22)
    return text


def _usage() -> str:
    lines = [
        "usage: xensave COMMAND [ARGUMENT ...]",
        "",
        "Read, verify, explain and convert what Xen saves.",
    ]
    for group in GROUPS.values():
        lines += ["", *(f"  {name:<21} {purpose}" for name, purpose in group.items())]
    lines += ["", "xensave COMMAND --help tells more; xensave --version prints the version.", ""]
    return "\n".join(lines)
