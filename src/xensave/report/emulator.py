"""The device model: its sections, and its xenstore keys."""

from __future__ import annotations

from xensave.container.streams.qemu import QemuSection
from xensave.image import Image
from xensave.image.facts.emulator import Emulator
from xensave.report.page import PageTable, filled, listed

HIDDEN = "left out"


def emulator_tables(image: Image, *, full: bool) -> tuple[PageTable, ...]:
    """Returns QEMU's sections, and the keys; their values only with `full`."""
    return tuple(table for emulator in image.emulators for table in _tables(emulator, full=full))


def _tables(emulator: Emulator, *, full: bool) -> tuple[PageTable, ...]:
    name = f"{emulator.kind} {emulator.instance}"
    head = ("device", "instance", "version", "bytes", "subsections")
    note = "" if full else "Values are left out: they may be secrets. --full shows them."
    return filled(
        listed(
            PageTable(f"Sections of {name}", head, (), (1, 2, 3), (0, 4)),
            emulator.sections,
            _section_row,
        ),
        listed(
            PageTable(f"xenstore keys of {name}", ("key", "value"), (), (), (0, 1), note),
            emulator.xenstore,
            lambda pair: (pair[0], pair[1] if full else HIDDEN),
        ),
    )


def _section_row(section: QemuSection) -> tuple[str, ...]:
    return (
        section.name,
        str(section.instance),
        str(section.version),
        f"{section.length:,}",
        ", ".join(f"{sub.name} (version {sub.version})" for sub in section.subsections),
    )
