"""Ranges of the host's ports and memory that a configuration gives a guest.

libxl hands them over in a restore too, when the disks are there: domcreate_launch_dm().
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xensave.catalogue.model import Cite
from xensave.image.facts.guest import PV
from xensave.toolstack.libxl.configured import config_rule, domain_type
from xensave.toolstack.rule import Layer, Restore, Rule, Stage, Undecided

_PORTS = 1 << 16
_PORT_BITS, _FRAME_BITS = 32, 64
_HOST_FRAME_BITS = 40
"""No x86 CPU has more than 52 bits of physical addresses."""


@config_rule(
    id="LIBXL_IOPORTS",
    layer=Layer.XEN,
    stage=Stage.COMPLETION,
    says="ports that a guest gets are of the 65,536 that there are",
    cite=Cite("arch_do_domctl"),
    errno="EINVAL",
)
def ports(restore: Restore) -> str | None:
    """Refuses no ports, and ports that there are not; leaves others to what dom0 has."""
    for first, number in _ranges(restore, "ioports", "first"):
        end = (first + number) % (1 << _PORT_BITS)
        if end <= first or end > _PORTS:
            return f"{number} ports from {first:#x}"
        raise Undecided(f"whether dom0 has the ports {first:#x} - {end - 1:#x} to give")
    return None


@config_rule(
    id="LIBXL_IOMEM",
    layer=Layer.XEN,
    stage=Stage.COMPLETION,
    says="memory of the host that a guest gets is some, and lies where the host has addresses",
    cite=Cite("do_domctl"),
    errno="EINVAL",
)
def frames(restore: Restore) -> str | None:
    """Refuses no frames, and frames that no host has; leaves others to what dom0 has."""
    for start, number in _ranges(restore, "iomem", "start"):
        last = start + number - 1
        # For number 0 from 0 on Xen takes all that there is, of which dom0 has not all.
        wraps = last >> _FRAME_BITS or number == 0
        # Of a PV domain libxc does not ask for the mapping.
        if wraps or (last >> _HOST_FRAME_BITS and domain_type(restore) != PV):
            return f"{number} frames from {start:#x}"
        raise Undecided(f"whether dom0 has the frames {start:#x} - {last:#x} to give")
    return None


def _ranges(restore: Restore, name: str, first: str) -> Iterator[tuple[int, int]]:
    """Yields the beginning and the length of each range; a member that is not there counts as 0."""
    listed = restore.config.get("b_info", name)
    for each in listed if isinstance(listed, list) else ():
        values = each if isinstance(each, Mapping) else {}
        yield _number(values.get(first)), _number(values.get("number"))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


RULES: tuple[Rule, ...] = (ports, frames)
