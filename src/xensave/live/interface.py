"""Xen's control interface, as far as it is used: its version by release, from the catalogue.

do_domctl() answers -EACCES to a version that is not its own. The numbers of the operations that
are used here have been the same since 4.5.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.dates import Dated, version
from xensave.catalogue.model import Cite

# xen/include/public/version.h, hvm/hvm_op.h, memory.h; XEN_DOMINF_dying, _hvm_guest of domctl.h.
XENVER_VERSION = 0
HVMOP_GET_PARAM = 1
XENMEM_MAXIMUM_GPFN = 14
DOMINF_DYING, DOMINF_HVM_GUEST = 1 << 0, 1 << 1

# Before it no release is tried.
_OLDEST = "4.5"

_TSC_IN_STRUCT = Dated(
    "GETTSCINFO_STRUCT",
    "gettscinfo",
    "it answers in its struct; before, through a handle",
    Cite("domctl", "6b05648d12", "xen: Simplify TSC domctls by removing double info field", "4.6"),
    ("4.6",),
)


class Interface(NamedTuple):
    """A version of the control interface: `first` is the first release that has it.

    `policy` says whether it has get_cpu_policy, `tsc` whether gettscinfo answers in its struct.
    """

    version: int
    first: str
    policy: bool
    tsc: bool


def hypercall(name: str) -> int:
    """Returns the number of a hypercall: "domctl", "hvm_op", "xen_version"."""
    return catalogue.number_in("hypercall", name)


def operation(name: str) -> int:
    """Returns the number of a domctl: "gethvmcontext".

    >>> operation("gethvmcontext")
    33
    """
    return catalogue.number_in("domctl", name)


def candidates(major: int, minor: int) -> list[Interface]:
    """Returns the interfaces to try on a Xen of a version, the likeliest first.

    A downstream may have another one than the release that it is made of.

    >>> [hex(each.version) for each in candidates(4, 17)][:3]
    ['0x15', '0x18', '0x17']
    """
    by_release = dict(catalogue.space("domctl").versions)
    own = by_release.get(f"{major}.{minor}")
    known = interfaces()[::-1]
    return sorted(known, key=lambda each: each.version != own)


@cache
def interfaces() -> tuple[Interface, ...]:
    """Returns the versions of the interface from Xen 4.5 on, the oldest first."""
    policy = next(n.first for n in catalogue.space("domctl").numbers if n.name == "get_cpu_policy")
    names = catalogue.release_names()
    result: dict[int, Interface] = {}
    for release, number in catalogue.space("domctl").versions:
        if names.index(release) < names.index(_OLDEST) or number in result:
            continue
        result[number] = Interface(
            version=number,
            first=release,
            policy=names.index(release) >= names.index(policy),
            tsc=_TSC_IN_STRUCT.holds(version(release)),
        )
    return tuple(result.values())
