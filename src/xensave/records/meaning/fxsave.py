"""The FXSAVE image: 512 bytes of x87 and SSE state in the 64-bit format.

It is `fpu_regs` of the CPU record and the legacy region of CPU_XSAVE's save area. Source: Intel
SDM volume 1, 10.5.1; AMD APM volume 2, 11.4.4.
"""

from __future__ import annotations

from xensave.catalogue.model import Field, Layout

_ST = (
    Field("significand", "uint64_t", 0, 8),
    Field("exponent", "uint16_t", 8, 2),
    Field("reserved", "uint16_t", 10, 6, dims=(3,)),
)
_XMM = (Field("low", "uint64_t", 0, 8), Field("high", "uint64_t", 8, 8))

FXSAVE = Layout(
    record="FXSAVE",
    id="FXSAVE",
    struct="fxsave",
    size=512,
    align=16,
    fields=(
        Field("fcw", "uint16_t", 0, 2),
        Field("fsw", "uint16_t", 2, 2),
        Field("ftw", "uint8_t", 4, 1),
        Field("reserved0", "uint8_t", 5, 1),
        Field("fop", "uint16_t", 6, 2),
        Field("fip", "uint64_t", 8, 8),
        Field("fdp", "uint64_t", 16, 8),
        Field("mxcsr", "uint32_t", 24, 4),
        Field("mxcsr_mask", "uint32_t", 28, 4),
        Field("st", "struct st", 32, 128, dims=(8,), fields=_ST),
        Field("xmm", "struct xmm", 160, 256, dims=(16,), fields=_XMM),
        Field("reserved1", "uint64_t", 416, 96, dims=(12,)),
    ),
)


def x87_number(significand: int, exponent: int) -> str:
    """Say what an 80-bit extended-precision register holds.

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
