"""The CPU policy that a domain is held to: which features, MSRs and sizes its state may have.

It is what a v3 stream carries as X86_CPUID_POLICY and X86_MSR_POLICY. Features are named as in
Xen's cpufeatureset.h, in small letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from xensave.records.meaning.cpu.area import HEADER_END, place_of
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF
from xensave.records.meaning.cpu.features import places

AMD = "AuthenticAMD"
HYGON = "HygonGenuine"
INTEL = "GenuineIntel"
PLATFORM_INFO = 0xCE
CPUID_FAULTING = 1 << 31

Registers = tuple[int, int, int, int]
Leaves = dict[tuple[int, int], Registers]
NO_REGISTERS: Registers = (0, 0, 0, 0)

CpuidEntry = tuple[int, int, int, int, int, int]
"""An entry of X86_CPUID_POLICY: leaf, subleaf, eax, ebx, ecx, edx."""

MsrEntry = tuple[int, int, int]
"""An entry of X86_MSR_POLICY: index, flags, value."""


class Policy:
    """A CPU policy: CPUID registers by (leaf, subleaf), 0 where a leaf has none; MSRs by index.

    It is not changed after it was made. `source` says where it comes from.

    >>> from xensave.policy.steps.default import default_policy
    >>> default_policy("4.17").has("pku"), hex(default_policy("4.13").xcr0_max)
    (True, '0x21f')
    """

    def __init__(self, leaves: Leaves, msrs: dict[int, int], source: str = "") -> None:
        self.leaves = leaves
        self.msrs = msrs
        self.source = source

    @classmethod
    def of(cls, leaves: Iterable[CpuidEntry], msrs: dict[int, int], source: str) -> Policy:
        """Makes a policy from the leaves of an image's record; the last of a kind counts."""
        table = {}
        for leaf, subleaf, a, b, c, d in leaves:
            table[leaf, 0 if subleaf == NO_SUBLEAF else subleaf] = (a, b, c, d)
        return cls(table, msrs, source)

    def __eq__(self, other: object) -> bool:
        """Whether two policies have the same leaves and MSRs."""
        if not isinstance(other, Policy):
            return NotImplemented
        return self.leaves == other.leaves and self.msrs == other.msrs

    __hash__ = None  # type: ignore[assignment]

    def with_leaves(self, leaves: Leaves) -> Policy:
        """Returns a policy with other leaves and the same MSRs."""
        return Policy(leaves, self.msrs, self.source)

    def with_msr(self, index: int, value: int) -> Policy:
        """Returns a policy in which one MSR has another value."""
        return Policy(self.leaves, {**self.msrs, index: value}, self.source)

    def leaf(self, leaf: int, subleaf: int = 0) -> Registers:
        """Returns a leaf's registers, zeroes where the policy lacks it."""
        return self.leaves.get((leaf, subleaf), NO_REGISTERS)

    @cached_property
    def vendor(self) -> str:
        """The CPUID vendor string."""
        _, b, c, d = self.leaf(0)
        return b"".join(word.to_bytes(4, "little") for word in (b, d, c)).decode("latin-1")

    @property
    def amd(self) -> bool:
        """Whether the vendor is AMD or Hygon."""
        return self.vendor in (AMD, HYGON)

    @cached_property
    def features(self) -> frozenset[str]:
        """The names of the features that the policy has."""
        return frozenset(name for name in places() if self.has(name))

    def has(self, feature: str) -> bool:
        """Tells whether the policy has a feature."""
        place = places().get(feature)
        if place is None:
            return False
        leaf, subleaf, register, bit = place
        return bool(self.leaf(leaf, subleaf)[register] >> bit & 1)

    @property
    def signature(self) -> int:
        """Leaf 1's EAX: family, model and stepping."""
        return self.leaf(1)[0]

    @cached_property
    def maxphysaddr(self) -> int:
        """How many bits a guest's physical addresses have."""
        return self.leaf(0x80000008)[0] & 0xFF or 36

    @cached_property
    def xcr0_max(self) -> int:
        """The states that XCR0 may enable; 0 without XSAVE."""
        state = self.leaf(0xD)
        return state[3] << 32 | state[0] if self.has("xsave") else 0

    @property
    def cpuid_faulting(self) -> bool:
        """Whether MSR PLATFORM_INFO offers CPUID faulting."""
        return bool(self.msrs.get(PLATFORM_INFO, 0) & CPUID_FAULTING)

    def xsave_size(self, xcr0: int) -> int:
        """Returns the bytes of an XSAVE area in the standard format with these states enabled."""
        size = HEADER_END
        for index in range(2, xcr0.bit_length()):
            if not xcr0 >> index & 1:
                continue
            length, start, _, _ = self.leaf(0xD, index)
            if not length:
                start, length = place_of(index) or (0, 0)
            size = max(size, start + length)
        return size


EMPTY = Policy({}, {})
