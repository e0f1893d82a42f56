"""The domain that a context is loaded into: what the handlers ask about it."""

from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.errors import UsageError

DomainType: TypeAlias = Literal["hvm", "pvh"]
HVM: Final = "hvm"
PVH: Final = "pvh"

LAPIC = "local APIC"
PIC = "PIC"
IOAPIC = "IOAPIC"
PIT = "PIT"
RTC = "RTC"
HPET = "HPET"
PM = "PM timer"

_DEVICES: dict[DomainType, frozenset[str]] = {
    HVM: frozenset((LAPIC, PIC, IOAPIC, PIT, RTC, HPET, PM)),
    PVH: frozenset((LAPIC,)),
}


class Domain(NamedTuple):
    """A domain as its creator made it.

    `type` is "hvm" or "pvh"; a PVH domain has a local APIC and no other emulated device (from
    4.7 on, when domains got emulation flags). `nested` is nested virtualisation, `hap` hardware
    assisted paging: with shadow paging a guest's CR3 must name memory that is there.

    >>> Domain("pvh", vcpus=4).lacks("PIT")
    True
    """

    type: DomainType = HVM
    vcpus: int = 1
    viridian: bool = False
    nested: bool = False
    hap: bool = True

    def lacks(self, device: str) -> bool:
        """Tells whether the domain has no such emulated device. UsageError for another type."""
        if self.type not in _DEVICES:
            raise UsageError(f"no type of domain {self.type!r}; there are {', '.join(_DEVICES)}")
        return device not in _DEVICES[self.type]
