"""What the real Xen 4.17 is asked to restore: a line a case.

A case is an image that a real Xen wrote, steps that make another of it, and what a real 4.17
shall answer: no `refusal`, then the guest goes on counting; or the errno and the record.
"""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from xensave.container import walk
from xensave.container.events import LIBXC
from xensave.container.framing import pack_record
from xensave.container.streams import hvm, libxc
from xensave.context import Context
from xensave.source import open_source
from xensave.source.base import read_all
from xensave.testing.edits import decoded, encoded

DATA = Path(__file__).parent / "data"
TARGET = "4.17"
VMCE_VCPU = 18
DOWNSTREAM = 22
MOST = 1 << 27
"""The most bytes of an image."""

Step = Callable[[bytes], bytes]


class Refusal(NamedTuple):
    """How Xen refuses a context: the errno, and the number of the record."""

    errno: int
    typecode: int


class Case(NamedTuple):
    """One image to restore, and the answer."""

    name: str
    image: str
    steps: tuple[Step, ...] = ()
    refusal: Refusal | None = None

    def make(self) -> bytes:
        """Return the bytes to restore."""
        with open_source(DATA / self.image) as source:
            data = read_all(source, MOST)
        for step in self.steps:
            data = step(data)
        return data


def rewrite(data: bytes, change: Callable[[hvm.RawContext], hvm.RawContext] | None = None) -> bytes:
    """Take an image apart into records and values, and write each of them anew."""
    return b"".join(_rewritten(data, change))


def _rewritten(
    data: bytes, change: Callable[[hvm.RawContext], hvm.RawContext] | None
) -> Iterator[bytes]:
    for event in walk(open_source(data)):
        if event.is_record(LIBXC, libxc.HVM_CONTEXT):
            context = bytes(event.body())
            if change is not None:
                context = change(hvm.RawContext.parse(context)).to_bytes()
            yield pack_record(libxc.HVM_CONTEXT, Context.parse(context).to_bytes())
        else:
            yield event.to_bytes()


def _with_another(context: hvm.RawContext) -> hvm.RawContext:
    """Put a record of a downstream in front of END."""
    *entries, end = context.entries
    added = hvm.Entry(DOWNSTREAM, 0, bytes(range(1, 17)))
    return context._replace(entries=[*entries, added, end])


def _renumbered(context: hvm.RawContext) -> hvm.RawContext:
    """Give VMCE_VCPU the number under which a downstream keeps it."""
    return context._replace(
        entries=[
            entry._replace(typecode=DOWNSTREAM) if entry.typecode == VMCE_VCPU else entry
            for entry in context.entries
        ]
    )


add_downstream_record = partial(rewrite, change=_with_another)
renumber_vmce = partial(rewrite, change=_renumbered)


def convert(*options: str, target: str = TARGET) -> Step:
    """Return the step that a user would take: `xensave convert - - --target 4.17 OPTIONS`."""
    return _command("convert", "-", "-", "--target", target, *options)


def edit(*assignments: str) -> Step:
    """Return the step `xensave edit - - --set ASSIGNMENT ...`."""
    return _command("edit", "-", "-", *(word for each in assignments for word in ("--set", each)))


def _command(*words: str) -> Step:
    command = [sys.executable, "-m", "xensave", *words]

    def step(data: bytes) -> bytes:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(f"{' '.join(command[2:])}: {done.stderr.decode()}")
        return done.stdout

    return step


def decode_and_encode(data: bytes) -> bytes:
    """Return an image again from its JSON."""
    return encoded(decoded(data), data)


# The stream that Xen 4.5's libxc wrote has no frame: xl's takes the configuration from a file.
from_legacy = convert("--to", "xl", "--config", str(DATA / "xen45-pv1.json"))
to_legacy = convert(target="4.5")
into_libvirt = convert("--to", "libvirt", "--config", str(DATA / "xen421-pvh1.xml"), target="4.21")

LEGACY = "xen45-pv1.legacy.zst"
XEN413, XEN417, XEN421 = (f"xen{release}-pvh1.img.zst" for release in (413, 417, 421))
UNKNOWN_22 = Refusal(errno.EINVAL, DOWNSTREAM)
LONGER_LAPIC = Refusal(errno.EINVAL, 5)

CASES = (
    Case("plain", XEN417),
    Case("rewritten", XEN417, (rewrite,)),
    Case("converted to itself", XEN417, (convert(),)),
    Case("record 22 added", XEN417, (add_downstream_record,), UNKNOWN_22),
    Case("record 22 dropped", XEN417, (add_downstream_record, convert("--drop", "22"))),
    Case("VMCE_VCPU at 22", XEN417, (renumber_vmce,), UNKNOWN_22),
    Case("22 mapped to VMCE_VCPU", XEN417, (renumber_vmce, convert("--map", "22=VMCE_VCPU"))),
    Case("4.21", XEN421, refusal=LONGER_LAPIC),
    Case("4.21 converted down", XEN421, (convert(),)),
    Case("4.13", XEN413),
    Case("4.13 converted up", XEN413, (convert(),)),
    Case("decoded and encoded", XEN417, (decode_and_encode,)),
    Case("TSC edited", XEN417, (edit("tsc.nsec=99000000000"),)),
    Case("register edited", XEN417, (edit("CPU[0].r15=0x1122334455667788"),)),
    Case("legacy", LEGACY, (from_legacy,)),
    Case("written as legacy", LEGACY, (from_legacy, to_legacy, convert())),
    Case("4.21 in libvirt's frame", XEN421, (into_libvirt,), LONGER_LAPIC),
    Case("4.21 in libvirt's frame converted down", XEN421, (into_libvirt, convert())),
)
PV_CASE = next(case for case in CASES if case.name == "legacy")
"""The PV guest that is looked at while it runs; the PVH guest is that of the first case."""
