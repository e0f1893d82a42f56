"""What a verdict takes for granted, and what no rule looks at: rows, by who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from xensave.toolstack.rule import Layer, Restore


class Assumption(NamedTuple):
    """What a restore takes for granted: a sentence behind "provided that".

    `made` says of which restores; None where the judge meets it on its way.
    """

    layer: Layer
    sentence: str
    made: Callable[[Restore], bool] | None = None


class Unseen(NamedTuple):
    """What a reader may refuse and no rule here looks at, nor any answer says."""

    layer: Layer
    what: str


PAGES = Assumption(
    Layer.LIBXC,
    "the records of its pages, which a glance passes over, are sound",
    lambda restore: bool(restore.facts.unread),
)
EMULATOR = Assumption(
    Layer.LIBXL,
    "the target's device model takes the saved state of the source's",
    lambda restore: bool(restore.facts.emulators) and restore.emulators is None,
)
MEMORY = Assumption(
    Layer.LIBXC,
    "the guest has its memory, most of which was taken out of the image",
    lambda restore: restore.facts.cut,
)
DEVICES = Assumption(
    Layer.LIBXL,
    "dom0 has the disks and networks that the configuration names",
    lambda restore: bool(restore.config.get("disks") or restore.config.get("nics")),
)
HOST_POLICY = Assumption(
    Layer.XEN, "the target's host can give the guest the CPU policy that it had"
)
OLD_TOOLSTACK = Assumption(
    Layer.LIBXC, "the target's toolstack takes the legacy stream around the guest's state"
)

ASSUMPTIONS = (HOST_POLICY, OLD_TOOLSTACK, PAGES, EMULATOR, MEMORY, DEVICES)

UNSEEN = (
    Unseen(Layer.LIBVIRT, "devices and other elements of the domain's XML"),
    Unseen(Layer.XENOPSD, "what varstored and swtpm make of their states"),
    Unseen(Layer.XL, "a configuration file or options of `xl restore`"),
    Unseen(Layer.LIBXL, "scripts and backends of devices"),
    Unseen(Layer.LIBXC, "the memory that the host has left"),
    Unseen(Layer.XEN, "descriptor tables of PV guests"),
    Unseen(Layer.XEN, "devices that are passed through"),
    Unseen(Layer.XEN, "options that the hypervisor was built with"),
)


def granted(restore: Restore) -> Iterator[str]:
    """Yields what a restore takes for granted, in the order of the rows."""
    for each in ASSUMPTIONS:
        if each.made is not None and each.made(restore):
            yield each.sentence
