"""The emulated devices of a PC: PIC, IOAPIC, PIT, RTC, HPET, PM timer and interrupt lines."""

from __future__ import annotations

from xensave.catalogue.model import Cite
from xensave.engine.domain import HPET, IOAPIC, PIC, PIT, PM, RTC
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import PAIR, Spec
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import CHECK, HandlerRule, padding

_LINK_CHECK = Cite(
    "irq_check_link",
    "7a3bd1cbc4",
    "x86/vIRQ: split PCI link load state checking from actual loading",
    "4.19",
)
_PIC_CHECK = Cite(
    "vpic_check", "69c89dd787", "x86/vPIC: check values loaded from state save record", "4.19"
)
_PIT_CHECK = Cite(
    "pit_check", "c53013da6f", "x86/vPIT: check values loaded from state save record", "4.19"
)

_ROUTE_MAX = 15
_CHANNEL_LIMITS = (
    ("count", 0x10000),
    ("count_latched", 4),
    ("read_state", 4),
    ("write_state", 4),
    ("rw_mode", 3),
    ("gate", 1),
    ("bcd", 1),
)
"""The most that each value of a PIT's channel reaches."""
_ELCR_MASTER = 0xFC
_ELCR_SLAVE = 0xDE

SPECS = (
    Spec("PIC", PAIR, PIC),
    Spec("IOAPIC", device=IOAPIC, entry_errno="ENODATA"),
    Spec("PCI_IRQ"),
    Spec("ISA_IRQ"),
    Spec("PCI_LINK"),
    Spec("PIT", device=PIT, entry_errno="ENODATA"),
    Spec("RTC", device=RTC),
    Spec("HPET", device=HPET),
    Spec("PMTIMER", device=PM),
)


def route(body: Body, machine: Machine) -> str | None:
    """Refuses a link that is routed to no ISA interrupt."""
    for link, gsi in enumerate(body.octets("route")):
        if gsi > _ROUTE_MAX:
            return f"route[{link}] is {gsi}"
    return None


def pic_output(body: Body, machine: Machine) -> str | None:
    """Refuses an output that is neither low nor high."""
    return f"int_output is {body['int_output']}" if body["int_output"] > 1 else None


def pic_state(body: Body, machine: Machine) -> str | None:
    """Refuses a master in the slave's place, output during initialisation, and fixed ELCR bits."""
    master = body["is_master"]
    if bool(master) != (body.instance == 0):
        return f"is_master is {master} in PIC {body.instance}"
    if body["int_output"] and body["init_state"]:
        return f"int_output is set in init_state {body['init_state']}"
    if body["elcr"] & ~(_ELCR_MASTER if master else _ELCR_SLAVE):
        return f"elcr is {body['elcr']:#x}"
    return None


def pit_domain(body: Body, machine: Machine) -> str | None:
    """Refuses values that no PIT reaches, up to the first channel whose gate is wrong.

    The gates of channels 0 and 1 are always set; a channel before the one with a wrong gate is
    judged first, one after it not any more.
    """
    if body["speaker_data_on"] > 1 or body["pad0"]:
        return f"speaker_data_on is {body['speaker_data_on']}, pad0 {body['pad0']:#x}"
    for index in range(3):
        wrong = _channel(body, f"channels[{index}]")
        if wrong is not None:
            return wrong
        if index != 2 and not body[f"channels[{index}].gate"]:
            return None
    return None


def _channel(body: Body, channel: str) -> str | None:
    for name, most in _CHANNEL_LIMITS:
        value = body[f"{channel}.{name}"]
        if value > most:
            return f"{channel}.{name} is {value}, at most {most}"
    return None


def pit_gate(body: Body, machine: Machine) -> str | None:
    """Refuses a gate of channel 0 or 1 that is off: nothing can clear it."""
    for index in range(2):
        if not body[f"channels[{index}].gate"]:
            return f"channels[{index}].gate is 0"
    return None


_LINKS = "a link must be routed to an ISA interrupt"

RULES = (
    HandlerRule(
        id="PCI_LINK_ROUTE",
        record="PCI_LINK",
        errno="EINVAL",
        sentence=_LINKS,
        test=route,
        cite=Cite("irq_load_link"),
        until=("4.19",),
    ),
    HandlerRule(
        id="PCI_LINK_PAD",
        record="PCI_LINK",
        errno="EINVAL",
        sentence="padding must be zero",
        test=padding("pad0"),
        cite=_LINK_CHECK,
        since=("4.19",),
        stage=CHECK,
    ),
    HandlerRule(
        id="PCI_LINK_ROUTE",
        record="PCI_LINK",
        errno="EINVAL",
        sentence=_LINKS,
        test=route,
        cite=_LINK_CHECK,
        since=("4.19",),
        stage=CHECK,
    ),
    HandlerRule(
        id="PIC_OUTPUT",
        record="PIC",
        errno="EDOM",
        sentence="the output is 0 or 1",
        test=pic_output,
        cite=_PIC_CHECK,
        since=("4.19",),
        stage=CHECK,
    ),
    HandlerRule(
        id="PIC_STATE",
        record="PIC",
        errno="EINVAL",
        sentence="the state must be one that a PIC reaches",
        test=pic_state,
        cite=_PIC_CHECK,
        since=("4.19",),
        stage=CHECK,
    ),
    HandlerRule(
        id="PIT_RANGE",
        record="PIT",
        errno="EDOM",
        sentence="values must be ones that a PIT reaches",
        test=pit_domain,
        cite=_PIT_CHECK,
        since=("4.19",),
        stage=CHECK,
    ),
    HandlerRule(
        id="PIT_GATE",
        record="PIT",
        errno="EINVAL",
        sentence="the gates of channels 0 and 1 are on",
        test=pit_gate,
        cite=_PIT_CHECK,
        since=("4.19",),
        stage=CHECK,
    ),
)
