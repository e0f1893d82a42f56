"""What the target's QEMU refuses of the state that the source's QEMU saved.

QEMU looks each section up by name and instance, and reads versions up to its own; see
qemu_loadvm_section_start_full() in its migration/savevm.c. Which sections it has and in which
version, an image that was saved on the target tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from xensave.catalogue.model import Cite
from xensave.container.events import LIBXL
from xensave.container.streams import libxl, qemu
from xensave.container.streams.qemu import QemuSection
from xensave.errors import Truncated
from xensave.image.facts.emulator import Emulator
from xensave.image.facts.guest import HVM
from xensave.toolstack.libxl.configured import domain_type
from xensave.toolstack.libxl.hardware import traditional
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage

_SHOWN = 8
CUT_STATE = f"{LIBXL} EMULATOR_CONTEXT"
_state_rule = partial(
    RestoreRule, layer=Layer.LIBXL, stage=Stage.COMPLETION, record="libxl EMULATOR_CONTEXT"
)


@partial(
    _state_rule,
    id="QEMU_SECTIONS",
    says="the target's QEMU has every section of the saved state, and in no older version",
    cite=Cite("qemu_loadvm_section_start_full"),
    place=(LIBXL, libxl.EMULATOR_CONTEXT),
)
def known_sections(restore: Restore) -> str | None:
    """Refuses sections that the QEMU of `restore.emulators` lacks, or has in an older version."""
    if restore.emulators is None:
        return None
    wrong = list(unreadable_sections(restore.facts.emulators, restore.emulators))
    if not wrong:
        return None
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"the target's QEMU does not read {', '.join(wrong[:_SHOWN])}{more}"


def _has_model(restore: Restore) -> bool:
    """Whether a domain with a device model is made of a libxl stream that ends."""
    facts = restore.facts
    whole = facts.has(LIBXL, libxl.END) or isinstance(facts.stop, Truncated)
    return facts.libxl is not None and whole and domain_type(restore) == HVM


@partial(
    _state_rule,
    id="QEMU_STATE_ABSENT",
    says="the device model of an HVM guest gets a saved state: libxl starts it with one",
    cite=Cite("libxl__build_device_model_args_new"),
    breaks=("LIBXL_EMULATOR_CONTEXT_PRESENT",),
)
def state_present(restore: Restore) -> str | None:
    """Refuses an HVM guest whose device model would open a state that is not there."""
    facts = restore.facts
    if not _has_model(restore) or facts.has(LIBXL, libxl.EMULATOR_CONTEXT):
        return None
    if facts.stop is not None and facts.stop.record == CUT_STATE:
        return None
    return "there is no EMULATOR_CONTEXT: the device model does not start"


@partial(
    _state_rule,
    id="QEMU_STATE_FORMAT",
    says="QEMU's state begins as its migration stream of version 3 does",
    cite=Cite("qemu_loadvm_state"),
    place=(LIBXL, libxl.EMULATOR_CONTEXT),
    breaks=("LIBXL_EMULATOR_STATE_QEMU",),
)
def state_format(restore: Restore) -> str | None:
    """Refuses a state that QEMU does not recognise; the last record is what it gets."""
    if not _has_model(restore) or traditional(restore):
        return None
    states = [each for each in restore.facts.emulators if each.format != "none"]
    if not states:
        return None
    last = states[-1]
    if last.version == qemu.VERSION:
        return None
    if last.format == "empty":
        return "the state is empty"
    result = "no magic of QEMU's" if last.version is None else f"version {last.version}"
    return f"the state has {result}, QEMU reads version {qemu.VERSION}"


def unreadable_sections(saved: tuple[Emulator, ...], target: tuple[Emulator, ...]) -> Iterator[str]:
    """Yields the sections that a target's device model does not take, each with the reason.

    >>> one = Emulator("QEMU upstream", 0, "", 3, 0, (), (QemuSection("apic", 0, 3, 5, 8, 9),))
    >>> old = one._replace(sections=(QemuSection("apic", 0, 2, 5, 8, 9),))
    >>> list(unreadable_sections((one,), (old,)))
    ['apic[0] (version 3, it has version 2)']
    """
    for emulator in saved:
        known: dict[str, QemuSection] = {
            section.label: section
            for each in target
            if each.kind == emulator.kind
            for section in each.sections
        }
        for section in emulator.sections:
            other = known.get(section.label)
            if other is None:
                yield f"{section.label} (it has no such section)"
            elif other.version < section.version:
                yield f"{section.label} (version {section.version}, it has version {other.version})"


RULES: tuple[RestoreRule, ...] = (state_present, state_format, known_sections)
