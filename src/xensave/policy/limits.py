"""How much of a CPU policy a release has room for: the arrays of its struct cpu_policy.

The arrays grew in point releases, so that the same record is refused by one release of a series
and taken by the next. Source: xen/include/xen/lib/x86/{cpuid,msr,cpu-policy}.h of every tag.
"""

from functools import cache
from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.model import Cite
from xensave.policy.value import PLATFORM_INFO

BASIC_MAX = 0xD
"""The last basic leaf (CPUID_GUEST_NR_BASIC - 1)."""

EXTENDED = 0x80000000
XEN_LEAVES = (0x40000000, 0x40000100)
ARCH_CAPABILITIES = 0x10A

_CACHE, _TOPOLOGY, _XSTATE = 6, 2, 63

SUBLEAF_7_1 = Dated(
    "POLICY_LEAF_7_1",
    "X86_CPUID_POLICY",
    "Leaf 7 has subleaf 1.",
    Cite(
        "x86_cpuid_copy_from_buffer",
        "97e4ebdcd7",
        "x86/CPUID: support leaf 7 subleaf 1 / AVX512_BF16",
        "4.13",
    ),
    since=("4.13.0",),
)
SUBLEAF_7_2 = Dated(
    "POLICY_LEAF_7_2",
    "X86_CPUID_POLICY",
    "Leaf 7 has subleaf 2.",
    Cite(
        "x86_cpuid_copy_from_buffer",
        "f3709b15fc",
        "x86/cpuid: Infrastructure for cpuid word 7:2.edx",
        "4.17",
    ),
    since=("4.14.5", "4.15.3", "4.16.1", "4.17.0"),
)
EXTENDED_21 = Dated(
    "POLICY_LEAF_80000021",
    "X86_CPUID_POLICY",
    "Extended leaves go to 0x80000021, before to 0x8000001c.",
    Cite(
        "x86_cpuid_copy_from_buffer",
        "e9b4fe2636",
        "x86/cpuid: support LFENCE always serialising CPUID bit",
        "4.16",
    ),
    since=("4.14.5", "4.15.3", "4.16.0"),
)
MSR_10A = Dated(
    "POLICY_MSR_10A",
    "X86_MSR_POLICY",
    "MSR 0x10a (ARCH_CAPABILITIES) is known beside 0xce (PLATFORM_INFO).",
    Cite(
        "x86_msr_copy_from_buffer",
        "e32605b07e",
        "x86: Begin to introduce support for MSR_ARCH_CAPS",
        "4.15",
    ),
    since=("4.14.1", "4.15.0"),
)
MSR_10A_WIDE = Dated(
    "POLICY_MSR_10A_64",
    "X86_MSR_POLICY",
    "MSR 0x10a has 64 bits, before 32.",
    Cite(
        "x86_msr_copy_from_buffer",
        "d9fe459ffa",
        "x86/cpu-policy: Infrastructure for MSR_ARCH_CAPS",
        "4.18",
    ),
    since=("4.14.6", "4.15.5", "4.16.5", "4.17.2", "4.18.0"),
)

IN_STREAMS = Dated(
    "POLICY_IN_STREAMS",
    "X86_CPUID_POLICY",
    "Streams carry policies; before, the toolstack gives a guest what it gives a new one.",
    Cite(
        "handle_x86_cpuid_policy",
        "8baf4363e1",
        "libxc/restore: Handle X86_{CPUID,MSR}_DATA records",
        "4.14",
    ),
    since=("4.14.0",),
)
DIFFERENCES = (SUBLEAF_7_1, SUBLEAF_7_2, EXTENDED_21, MSR_10A, MSR_10A_WIDE)


class Limits(NamedTuple):
    """A release's room: the last subleaf by leaf, the last extended leaf, the MSRs and widths.

    `entries` are the most leaves that the record may have, MSR_MAX_SERIALISED_ENTRIES is how many
    `msrs` there are.
    """

    subleaves: dict[int, int]
    extended: int
    msrs: dict[int, int]

    @property
    def feature_subleaf(self) -> int:
        """The last subleaf of leaf 7."""
        return self.subleaves[7]

    @property
    def maxima(self) -> dict[int, int]:
        """The most that the leaves say which say where leaves end."""
        return {0: BASIC_MAX, 7: self.feature_subleaf, EXTENDED: self.extended}

    def has(self, leaf: int) -> bool:
        """Tells whether there is room for a leaf of a CPU's own."""
        return leaf <= BASIC_MAX or EXTENDED <= leaf <= self.extended

    @property
    def entries(self) -> int:
        """CPUID_MAX_SERIALISED_LEAVES."""
        single = BASIC_MAX + 1 - len(self.subleaves) + self.extended - EXTENDED + 1
        return single + len(XEN_LEAVES) + sum(last + 1 for last in self.subleaves.values())


@cache
def limits_of(version: Version) -> Limits:
    """Returns the limits of a release that has CPU policies (4.14 on).

    >>> limits = limits_of((4, 15, 0))
    >>> hex(limits.extended), limits.feature_subleaf, limits.entries, len(limits.msrs)
    ('0x8000001c', 1, 114, 2)
    >>> limits_of((4, 17, 7)).entries
    120
    """
    leaf_7 = 2 if SUBLEAF_7_2.holds(version) else int(SUBLEAF_7_1.holds(version))
    msrs = {PLATFORM_INFO: 32}
    if MSR_10A.holds(version):
        msrs[ARCH_CAPABILITIES] = 64 if MSR_10A_WIDE.holds(version) else 32
    return Limits(
        {4: _CACHE - 1, 7: leaf_7, 0xB: _TOPOLOGY - 1, 0xD: _XSTATE - 1},
        EXTENDED + (0x21 if EXTENDED_21.holds(version) else 0x1C),
        msrs,
    )
