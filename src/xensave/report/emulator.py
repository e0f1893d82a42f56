"""The device model: its sections, and its xenstore keys."""

from __future__ import annotations

from xensave.image import Image
from xensave.image.facts.emulator import Emulator
from xensave.report.page import PageTable, filled

HIDDEN = "left out"


def emulator_tables(image: Image, *, full: bool) -> tuple[PageTable, ...]:
    """Returns QEMU's sections, and the keys; their values only with `full`."""
    return tuple(table for emulator in image.emulators for table in _tables(emulator, full=full))


def _tables(emulator: Emulator, *, full: bool) -> tuple[PageTable, ...]:
    name = f"{emulator.kind} {emulator.instance}"
    rows = tuple(
        (
            section.name,
            str(section.instance),
            str(section.version),
            f"{section.length:,}",
            ", ".join(f"{sub.name} (version {sub.version})" for sub in section.subsections),
        )
        for section in emulator.sections
    )
    head = ("device", "instance", "version", "bytes", "subsections")
    keys = tuple((key, value if full else HIDDEN) for key, value in emulator.xenstore)
    note = "" if full else "Values are left out: they may be secrets. --full shows them."
    return filled(
        PageTable(f"Sections of {name}", head, rows, (1, 2, 3), (0, 4)),
        PageTable(f"xenstore keys of {name}", ("key", "value"), keys, (), (0, 1), note),
    )
