"""The timers: PIT channels, the RTC's registers, and how time stamps are kept."""

from __future__ import annotations

from xensave.records.meaning.bits import RTC_A, RTC_B, RTC_C, RTC_D, bit_names

_RTC = ("seconds", "seconds alarm", "minutes", "minutes alarm", "hours", "hours alarm")
_DATE = ("day of week", "day of month", "month", "year")
_STATUS = (("A", RTC_A), ("B", RTC_B), ("C", RTC_C), ("D", RTC_D))
_PIT_MODES = (
    "interrupt on terminal count",
    "one-shot",
    "rate generator",
    "square wave",
    "software strobe",
    "hardware strobe",
)
_PIT_ACCESS = ("latched", "low byte", "high byte", "low, then high byte")
# xen/include/public/arch-x86/cpuid.h and xen/include/public/domctl.h: XEN_CPUID_TSC_MODE_*.
_TSC_MODES = ("default", "always emulate", "never emulate", "PVRDTSCP")


def pit_mode(value: int) -> str:
    """Names the counting mode of a PIT channel; 0xff is one that was never set.

    >>> pit_mode(2), pit_mode(6), pit_mode(0xFF)
    ('rate generator', 'rate generator', 'not set')
    """
    if value > 7:
        return "not set" if value == 0xFF else ""
    mode = value & 3 if value & 2 else value
    return _PIT_MODES[mode] if mode < len(_PIT_MODES) else ""


def pit_access(value: int) -> str:
    """Names how a PIT channel's count is read and written."""
    return _PIT_ACCESS[value] if value < len(_PIT_ACCESS) else ""


def tsc_mode(value: int) -> str:
    """Names a TSC mode.

    >>> tsc_mode(0), tsc_mode(9)
    ('default', 'unknown')
    """
    return _TSC_MODES[value] if value < len(_TSC_MODES) else "unknown"


def cmos_register(index: int, value: int) -> str:
    """Says what a byte of the RTC's CMOS is (MC146818: ten of time and date, then A to D).

    >>> cmos_register(0, 0x59), cmos_register(11, 2)
    ('seconds', 'register B: 24H')
    """
    names = _RTC + _DATE
    if index < len(names):
        return names[index]
    if index < len(names) + len(_STATUS):
        name, table = _STATUS[index - len(names)]
        return f"register {name}: {' '.join(bit_names(value, table)) or '0'}"
    return ""
