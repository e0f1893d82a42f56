"""What hostile bytes are given to: one function an entry, one line in the table each.

A target may raise XensaveError and nothing else. What it prints is made and looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fuzz.targets import images, memory, tasks, texts
from xensave.errors import XensaveError

IMAGES = "images"


class Target(NamedTuple):
    """A function that is given bytes, and the kind of seeds that its inputs begin as."""

    take: Callable[[bytes], None]
    kind: str = IMAGES


TARGETS: dict[str, Target] = {
    "show": Target(images.show),
    "verify": Target(images.verify),
    "check": Target(images.check),
    "convert": Target(images.convert),
    "legacy": Target(images.legacy),
    "memory": Target(memory.memory),
    "extract": Target(memory.extract),
    "gdb": Target(memory.gdb),
    "thin": Target(memory.thin),
    "diff": Target(tasks.diff),
    "edit": Target(tasks.edit),
    "encode": Target(tasks.decode_and_encode),
    "policy": Target(tasks.policy),
    "report": Target(tasks.report),
    "scan": Target(tasks.scan),
    "packets": Target(memory.packets, "packets"),
    "assignment": Target(texts.assignment, "assignment"),
    "document": Target(texts.document, "document"),
    "host": Target(texts.host, "host"),
    "metadata": Target(texts.metadata, "metadata"),
    "patch": Target(texts.patch, "patch"),
    "patchwork": Target(texts.patchwork, "patchwork"),
}


def run(target: Target, data: bytes) -> bool:
    """Give data to a target; whether it took it. Anything but a XensaveError is a crash."""
    try:
        target.take(data)
    except XensaveError:
        return False
    return True
