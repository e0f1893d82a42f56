"""Records of a stream that no reader takes as they are: what becomes of them, and what is lost.

Each function gives a record's new body, None for no record, and the changes; or nothing at all
where the record is left as it is. What takes a decision is done only with `repair`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import PAIR, TSC_INFO, TscInfo
from xensave.convert.plan import DROP, REPAIR, REWRITE, Loss, PlannedChange, place_of
from xensave.convert.records.losses import Losses, of_bytes
from xensave.rules.stream.formats.libxc import FOREIGN
from xensave.rules.stream.libxc.static_data import ENTRY_SIZE
from xensave.toolstack.libxc.hypercalls import PVRDTSCP, PVRDTSCP_GONE

LOOKED_AT = 64 * 1024
SHORT_LIMIT = 1 << 20
"""A longer record of these kinds is none that a repair knows how to cut."""


class Circumstances(NamedTuple):
    """What a mend asks beside its record: the guest's type, the oldest target, the leave.

    `seen` tells whether the result has a record of a layer and type.
    """

    guest: int
    target: Version
    name: str
    repair: bool
    seen: Callable[..., bool]


class Mended(NamedTuple):
    """A record's new body, None where it goes, and the changes that say so."""

    body: bytes | None
    changes: tuple[PlannedChange, ...]


Mend = Callable[[Event, Circumstances], "Mended | None"]


def mend(event: Event, context: Circumstances) -> Mended | None:
    """Returns what becomes of a libxc record that no reader takes; None for any other."""
    if event.type in FOREIGN.get(context.guest, ()):
        return _foreign(event, context)
    own = MENDS.get(event.type)
    return own(event, context) if own is not None else None


def losses_of(event: Event) -> Losses:
    """Returns what goes with a record: of a long one the front is looked at, the rest is lost."""
    named, lost = of_bytes("body", event.prefix(LOOKED_AT))
    if event.length > LOOKED_AT and not lost:
        named, lost = of_bytes("body", b"\1")
    return named, lost


def _foreign(event: Event, context: Circumstances) -> Mended:
    """Leaves out a PV record of an HVM guest, and the reverse."""
    kind = libxc.DOMAIN_TYPES[context.guest]
    return _left_out(event, f"libxc refuses it in the stream of an {kind} guest")


def _left_out(event: Event, reason: str) -> Mended:
    change = PlannedChange(place_of(event), DROP, event.label, reason, *losses_of(event))
    return Mended(None, (change,))


def _pages(event: Event, _: Circumstances) -> Mended | None:
    """Leaves out a record that lists no page."""
    if event.length != PAIR.size or any(event.prefix(4)):
        return None
    change = PlannedChange(
        place_of(event), DROP, "a batch of no pages", "libxc refuses one without a PFN"
    )
    return Mended(None, (change,))


def _pv_info(event: Event, context: Circumstances) -> Mended | None:
    """Leaves out a second X86_PV_INFO."""
    seen = context.seen(LIBXC, event.type)
    return _left_out(event, "libxc refuses a second one") if seen else None


def _tsc(event: Event, context: Circumstances) -> Mended | None:
    """Gives a guest whose TSC mode the target lacks the default mode, and cuts a surplus."""
    cut = _cut(event, TSC_INFO.size, context)
    body = bytes(event.body()) if cut is None else cut.body
    if body is None or len(body) != TSC_INFO.size:
        return cut
    info = TscInfo.parse(body)
    gone = info.mode == PVRDTSCP and PVRDTSCP_GONE.holds(context.target)
    if not gone and not (info.mode > PVRDTSCP and context.repair):
        return cut
    change = PlannedChange(
        place_of(event),
        REWRITE if gone else REPAIR,
        f"TSC mode {info.mode} to 0 (default)",
        f"Xen {context.name} has no such mode",
        (Loss("mode", f"{info.mode} ({info.mode_name})"),),
        1,
        accepted=not gone,
        citation=PVRDTSCP_GONE.cite.citation if gone else None,
    )
    before = cut.changes if cut is not None else ()
    return Mended(info._replace(mode=0).to_bytes(), (*before, change))


def _cut(event: Event, size: int, context: Circumstances) -> Mended | None:
    """Cuts a record that is longer than it may be."""
    if not context.repair or not size < event.length <= SHORT_LIMIT:
        return None
    body = bytes(event.body())
    lost = of_bytes("surplus", body[size:])
    reason = f"it has {event.length} bytes, libxc takes {size}"
    what = f"{event.label} cut to {size} bytes"
    change = PlannedChange(place_of(event), REPAIR, what, reason, *lost, accepted=True)
    return Mended(body[:size], (change,))


def whole_entries(event: Event, context: Circumstances) -> Mended | None:
    """Cuts a policy record to its whole entries; without any it goes."""
    size = ENTRY_SIZE[event.type]
    if not context.repair or event.length > SHORT_LIMIT:
        return None
    if event.length and not event.length % size:
        return None
    body = bytes(event.body())
    entries = body[: len(body) // size * size]
    lost = of_bytes("rest", body[len(entries) :])
    what = f"{event.label} cut to {len(entries) // size} entries" if entries else event.label
    reason = f"its {event.length} bytes are no whole entries of {size}"
    change = PlannedChange(place_of(event), REPAIR, what, reason, *lost, accepted=True)
    return Mended(entries or None, (change,))


MENDS: dict[int, Mend] = {
    libxc.PAGE_DATA: _pages,
    libxc.X86_PV_INFO: _pv_info,
    libxc.X86_TSC_INFO: _tsc,
    libxc.SHARED_INFO: lambda event, context: _cut(event, libxc.PAGE_SIZE, context),
}
