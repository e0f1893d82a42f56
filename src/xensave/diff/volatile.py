"""What differs between any two moments of a running guest, and why: rows of data."""

from __future__ import annotations

from typing import NamedTuple

from xensave.records.meaning.leaves import without_indices


class VolatileField(NamedTuple):
    """A field that moves by itself; `path` is without indices, as `record` is."""

    record: str
    path: str
    reason: str


_RUNNING = "a counter that runs while the guest is awake"
_CLOCK = "the date and time"

ROWS = (
    VolatileField("X86_TSC_INFO", "nsec", "the guest's age"),
    VolatileField("CPU", "tsc", _RUNNING),
    # vlapic.c computes it from the time that is left.
    VolatileField("LAPIC_REGS", "registers.TIMER_CURRENT", _RUNNING),
    VolatileField("PIT", "channels.count_load_time", _RUNNING),
    VolatileField("PMTIMER", "tmr_val", _RUNNING),
    VolatileField("HPET", "mc64", _RUNNING),
    VolatileField("VIRIDIAN_DOMAIN", "time_ref_count", _RUNNING),
    # MC146818: seconds, minutes, hours, day of week, of month, month, year.
    *(VolatileField("RTC", f"cmos_data[{index}]", _CLOCK) for index in (0, 2, 4, 6, 7, 8, 9)),
    VolatileField("QEMU timer", "state", "QEMU's virtual clock"),
    VolatileField("QEMU mc146818rtc", "state", _CLOCK),
)


_REASONS = {(row.record, row.path): row.reason for row in ROWS}


def reason(record: str, path: str) -> str:
    """Returns why a field always moves, "" where it does not.

    >>> reason("PIT[0]", "channels[2].count_load_time"), reason("CPU[0]", "rip")
    ('a counter that runs while the guest is awake', '')
    """
    plain = without_indices(record)
    return _REASONS.get((plain, path)) or _REASONS.get((plain, without_indices(path)), "")
