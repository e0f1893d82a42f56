"""Registers as the names of their set bits.

A register is a table of (lowest bit, width, name): a field of more than one bit is shown with
its value. Bits that no name covers are shown by number, so that nothing set goes unseen.
"""

from typing import NamedTuple


class Bit(NamedTuple):
    """A named field of a register."""

    low: int
    width: int
    name: str


Register = tuple[Bit, ...]


def register(names: str) -> Register:
    """Makes a table of words "name:bit" or "name:low-high".

    >>> register("CF:0 IOPL:12-13")
    (Bit(low=0, width=1, name='CF'), Bit(low=12, width=2, name='IOPL'))
    """
    table = []
    for word in names.split():
        name, _, place = word.partition(":")
        low, _, high = place.partition("-")
        table.append(Bit(int(low), int(high or low) - int(low) + 1, name))
    return tuple(table)


def bit_names(value: int, table: Register) -> list[str]:
    """Returns the names of the bits that are set.

    >>> bit_names(0x203, register("CF:0 IF:9"))
    ['CF', 'IF', 'bit 1']
    >>> bit_names(0x3000, register("IOPL:12-13"))
    ['IOPL=3']
    """
    names = []
    for low, width, name in table:
        mask = (1 << width) - 1
        setting = value >> low & mask
        value &= ~(mask << low)
        if setting and name != "-":
            names.append(name if width == 1 else f"{name}={_short(setting)}")
    names += [f"bit {n}" for n in range(value.bit_length()) if value >> n & 1]
    return names


def _short(value: int) -> str:
    return hex(value) if value > 9 else str(value)


# Intel SDM volume 1, 3.4.3.
RFLAGS = register(
    "CF:0 PF:2 AF:4 ZF:6 SF:7 TF:8 IF:9 DF:10 OF:11 IOPL:12-13 NT:14 RF:16 VM:17 AC:18"
    " VIF:19 VIP:20 ID:21 -:1"
)
# Intel SDM volume 3, 2.5; AMD APM volume 2, 3.1.
CR0 = register("PE:0 MP:1 EM:2 TS:3 ET:4 NE:5 WP:16 AM:18 NW:29 CD:30 PG:31")
CR4 = register(
    "VME:0 PVI:1 TSD:2 DE:3 PSE:4 PAE:5 MCE:6 PGE:7 PCE:8 OSFXSR:9 OSXMMEXCPT:10 UMIP:11"
    " LA57:12 VMXE:13 SMXE:14 FSGSBASE:16 PCIDE:17 OSXSAVE:18 KL:19 SMEP:20 SMAP:21 PKE:22"
    " CET:23 PKS:24 UINTR:25 LASS:27 LAM_SUP:28 FRED:32"
)
EFER = register("SCE:0 LME:8 LMA:10 NXE:11 SVME:12 LMSLE:13 FFXSE:14 TCE:15 MCOMMIT:17 AIBRSE:21")
DR6 = register("B0:0 B1:1 B2:2 B3:3 BD:13 BS:14 BT:15 -:4-11 -:16-31")
DR7 = register(
    "L0:0 G0:1 L1:2 G1:3 L2:4 G2:5 L3:6 G3:7 LE:8 GE:9 -:10 RTM:11 GD:13"
    " RW0:16-17 LEN0:18-19 RW1:20-21 LEN1:22-23 RW2:24-25 LEN2:26-27 RW3:28-29 LEN3:30-31"
)
# State components of XSAVE: Intel SDM volume 1, 13.1; AMD APM volume 2, 11.5.2 (LWP).
XCR0 = register(
    "x87:0 SSE:1 AVX:2 BNDREGS:3 BNDCSR:4 opmask:5 ZMM_Hi256:6 Hi16_ZMM:7 PT:8 PKRU:9 PASID:10"
    " CET_U:11 CET_S:12 HDC:13 UINTR:14 LBR:15 HWP:16 TILECFG:17 TILEDATA:18 APX:19 LWP:62"
    " compact:63"
)
MXCSR = register(
    "IE:0 DE:1 ZE:2 OE:3 UE:4 PE:5 DAZ:6 IM:7 DM:8 ZM:9 OM:10 UM:11 PM:12 RC:13-14 FZ:15 MM:17"
)
FCW = register("IM:0 DM:1 ZM:2 OM:3 UM:4 PM:5 PC:8-9 RC:10-11 X:12 -:6")
FSW = register("IE:0 DE:1 ZE:2 OE:3 UE:4 PE:5 SF:6 ES:7 C0:8 C1:9 C2:10 TOP:11-13 C3:14 B:15")
APIC_BASE = register("BSP:8 x2APIC:10 enabled:11 page:12-51")
# ACPI 4.8.4.1: the PM1 event registers.
PM1_STATUS = register("TMR:0 BM:4 GBL:5 PWRBTN:8 SLPBTN:9 RTC:10 PCIEXP_WAKE:14 WAK:15")
PM1_ENABLE = register("TMR:0 GBL:5 PWRBTN:8 SLPBTN:9 RTC:10 PCIEXP_WAKE_DIS:14")
# IA-PC HPET 1.0a, 2.3.
HPET_CAPABILITY = register(
    "revision:0-7 last_timer:8-12 64-bit:13 legacy:15 vendor:16-31 period_fs:32-63"
)
HPET_CONFIG = register("enabled:0 legacy:1")
HPET_TIMER = register(
    "level:1 interrupt:2 periodic:3 periodic-capable:4 64-bit:5 set-value:6 32-bit-mode:8"
    " route:9-13 FSB:14 FSB-capable:15 routes:32-63"
)
MTRR_CAP = register("variable:0-7 fixed:8 WC:10 SMRR:11")
MTRR_DEF_TYPE = register("type:0-7 fixed-enabled:10 enabled:11")
MCG_CAP = register(
    "banks:0-7 CTL_P:8 EXT_P:9 CMCI_P:10 TES_P:11 EXT_CNT:16-23 SER_P:24"
    " EMC_P:25 ELOG_P:26 LMCE_P:27"
)
MCI_CTL2 = register("threshold:0-14 CMCI_EN:30")
MCG_EXT_CTL = register("LMCE_EN:0")
RTC_A = register("rate:0-3 divider:4-6 UIP:7")
RTC_B = register("DSE:0 24H:1 binary:2 SQWE:3 UIE:4 AIE:5 PIE:6 SET:7")
RTC_C = register("UF:4 AF:5 PF:6 IRQF:7")
RTC_D = register("VRT:7")
# xen/include/public/arch-x86/hvm/save.h: XEN_X86_FPU_INITIALISED.
FPU_INITIALISED = 1 << 0
CPU_FLAGS = register("FPU_INITIALISED:0")
# xen/arch/x86/include/asm/hvm/vlapic.h: VLAPIC_HW_DISABLED, VLAPIC_SW_DISABLED.
LAPIC_DISABLED = register("hardware:0 software:1")
VIRIDIAN_PAGE = register("enabled:0 locked:1 page:12-51")
