"""What hostile bytes are given to: one function an entry, one line in the table each.

A target may raise XensaveError and nothing else. What it prints is made and looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fuzz.targets import analysts, developers, fleets, images, memory, tasks, texts
from xensave.errors import XensaveError

IMAGES = "images"


class Target(NamedTuple):
    """A function that is given bytes, the commands that read such, and the kind of its seeds."""

    take: Callable[[bytes], None]
    commands: tuple[str, ...]
    kind: str = IMAGES


TARGETS: dict[str, Target] = {
    "show": Target(images.show, ("show",)),
    "verify": Target(images.verify, ("verify",)),
    "check": Target(images.check, ("check",)),
    "convert": Target(images.convert, ("convert",)),
    "legacy": Target(images.legacy, ("convert-legacy-stream",)),
    "memory": Target(memory.memory, ("memory",)),
    "extract": Target(memory.extract, ("extract",)),
    "gdb": Target(memory.gdb, ("gdbserver",)),
    "thin": Target(memory.thin, ("thin",)),
    "diff": Target(tasks.diff, ("diff",)),
    "edit": Target(tasks.edit, ("edit",)),
    "encode": Target(tasks.decode_and_encode, ("decode", "encode")),
    "policy": Target(tasks.policy, ("policy",)),
    "report": Target(tasks.report, ("report",)),
    "scan": Target(tasks.scan, ("scan",)),
    "drgn": Target(analysts.drgn, ("drgn",)),
    "volatility": Target(analysts.volatility, ()),
    "archive": Target(images.archive, ("check",), "archive"),
    "query": Target(fleets.query, ("query",), "table"),
    "plan": Target(fleets.plan, ("plan",), "table"),
    "rescan": Target(fleets.rescan, ("scan",), "table"),
    "server": Target(fleets.server, ("scan",), "server"),
    "packets": Target(memory.packets, ("gdbserver",), "packets"),
    "assignment": Target(texts.assignment, ("edit",), "assignment"),
    "document": Target(texts.document, ("encode",), "document"),
    "host": Target(texts.host, ("policy",), "host"),
    "metadata": Target(texts.metadata, ("convert",), "metadata"),
    "patch": Target(texts.patch, ("review",), "patch"),
    "patchwork": Target(texts.patchwork, ("patchwork",), "patchwork"),
    "vmcoreinfo": Target(analysts.vmcoreinfo, ("drgn", "extract"), "vmcoreinfo"),
    "vmlinux": Target(analysts.vmlinux, ("drgn",), "vmlinux"),
    "rules": Target(developers.rules, ("convert",), "rules"),
    "registry": Target(developers.registry, ("records", "suggest", "cost"), "registry"),
    "waivers": Target(developers.waivers, ("review",), "waivers"),
    "headers": Target(developers.headers, ("clash", "records"), "headers"),
    "hypervisor": Target(developers.hypervisor, ("clash", "records"), "hypervisor"),
}


def run(target: Target, data: bytes) -> bool:
    """Give data to a target; whether it took it. Anything but a XensaveError is a crash."""
    try:
        target.take(data)
    except XensaveError:
        return False
    return True
