"""The FXSAVE image: 512 bytes of x87 and SSE state in the 64-bit format.

It is `fpu_regs` of the CPU record and the legacy region of CPU_XSAVE's save area. Source: Intel
SDM volume 1, 10.5.1; AMD APM volume 2, 11.4.4.
"""

from __future__ import annotations

from xensave.records.overlay import overlay

_ST = overlay("st", "significand:u64 exponent:u16 reserved:u16[3]")
XMM = overlay("xmm", "low:u64 high:u64")

FXSAVE_NAME = "x87+SSE"
"""What the image is called where it is part of a record."""

FXSAVE = overlay(
    "fxsave",
    "fcw:u16 fsw:u16 ftw:u8 reserved0:u8 fop:u16 fip:u64 fdp:u64 mxcsr:u32 mxcsr_mask:u32"
    " st:st[8] xmm:xmm[16] reserved1:u64[12]",
    _ST,
    XMM,
)


def x87_number(significand: int, exponent: int) -> str:
    """Says what an 80-bit extended-precision register holds.

    >>> x87_number(0x8000000000000000, 0x3FFF), x87_number(0xC90FDAA22168C235, 0xC000)
    ('1', '-3.14159265358979324')
    >>> x87_number(0, 0), x87_number(0x8000000000000000, 0xFFFF)
    ('0', '-infinity')
    """
    sign = "-" if exponent >> 15 else ""
    power = exponent & 0x7FFF
    if significand == 0 and power == 0:
        return sign + "0"
    if power == 0x7FFF:
        return sign + ("infinity" if significand << 1 & (1 << 64) - 1 == 0 else "NaN")
    if power and not significand >> 63:
        return sign + "unsupported"
    from decimal import Context, Decimal

    exact = Context(prec=40, Emax=9999, Emin=-9999)
    scale = exact.power(Decimal(2), Decimal(max(power, 1) - 16383 - 63))
    shown = Context(prec=18, Emax=9999, Emin=-9999).plus(
        exact.multiply(Decimal(significand), scale)
    )
    shown = shown.normalize()
    text = format(shown, "f") if -7 < shown.adjusted() < 18 else str(shown).lower()
    return sign + text
