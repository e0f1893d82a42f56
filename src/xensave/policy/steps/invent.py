"""The policy of a guest whose stream carries none: what xc_cpuid_apply_policy() makes up.

Streams of Xen 4.13 and before, and images without X86_CPUID_POLICY. The toolstack starts from
the domain's default policy, switches features on that 4.13 gave by default, and cuts the leaves
to those that 4.13 had.
"""

from __future__ import annotations

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.model import Cite
from xensave.policy.featureset import replaced
from xensave.policy.host import lower_maxima
from xensave.policy.limits import BASIC_MAX, EXTENDED
from xensave.policy.value import INTEL, NO_REGISTERS, Leaves, Policy
from xensave.records.meaning.cpu.features import places

_CACHES = 4
_MOST_CORES, _MOST_BITS = 0x7F, 7
_FUNCTION = "xc_cpuid_apply_policy"
RDRAND_OF_HOST = Dated(
    "POLICY_INVENTED_RDRAND",
    "X86_CPUID_POLICY",
    "Without a record RDRAND, and MPX of HVM guests, are the host's.",
    Cite(
        _FUNCTION,
        "71ca0e0ad0",
        "x86/spec-ctrl: Hide RDRAND by default on IvyBridge client",
        "4.14",
    ),
)
TSX_OF_HOST = Dated(
    "POLICY_INVENTED_TSX",
    "X86_CPUID_POLICY",
    "Without a record HLE and RTM are the host's.",
    Cite(_FUNCTION, "8fe24090d9", "x86/cpuid: Rework HLE and RTM handling", "4.16"),
    since=("4.14.3", "4.15.1", "4.16.0"),
)
LEAVES_CUT = Dated(
    "POLICY_INVENTED_CUT",
    "X86_CPUID_POLICY",
    "Without a record leaf 7 has subleaf 0 only, and extended leaves end at 0x8000001c.",
    Cite(_FUNCTION, "111c8c33a8", "x86/cpuid: do not expand max leaves on restore", "4.16"),
    since=("4.14.5", "4.15.3", "4.16.0"),
)
LEAVES_OF_4_13 = Dated(
    "POLICY_INVENTED_LEAVES",
    "X86_CPUID_POLICY",
    "Without a record leaf 7 goes to subleaf 2, extended leaves to 0x80000021.",
    Cite(
        _FUNCTION,
        "28301682f4",
        "libs/guest: Fix migration compatibility with a security-patched Xen 4.13",
        "4.20",
    ),
    since=("4.18.4", "4.19.2", "4.20.0"),
)
DIFFERENCES = (RDRAND_OF_HOST, TSX_OF_HOST, LEAVES_CUT, LEAVES_OF_4_13)


def invented(
    default: Policy,
    physical: Policy,
    version: Version,
    *,
    pv: bool = False,
    nested: bool = False,
) -> Policy:
    """Returns the policy that the toolstack sets where the stream has none.

    `default` is the domain's default policy on that host, `physical` the host's own.
    """
    leaves = dict(default.leaves)

    def switch(name: str, *, on: bool) -> None:
        leaf, subleaf, register, bit = places()[name]
        registers = leaves.get((leaf, subleaf), NO_REGISTERS)
        value = (registers[register] & ~(1 << bit)) | on << bit
        leaves[leaf, subleaf] = replaced(registers, register, value)

    tsx = ("hle", "rtm") if TSX_OF_HOST.holds(version) else ()
    for name in ("rdrand", *tsx, *(("htt", "cmp_legacy") if pv else ("mpx",))):
        switch(name, on=physical.has(name))
    switch("itsc", on=False)
    if not pv:
        for name, on in (("vmx", nested), ("svm", nested), ("htt", True), ("cmp_legacy", False)):
            switch(name, on=on)
        _double_topology(leaves, default)
    if LEAVES_CUT.holds(version):
        wide = LEAVES_OF_4_13.holds(version)
        subleaf, extended = (2, 0x21) if wide else (0, 0x1C)
        lower_maxima(leaves, {0: BASIC_MAX, 7: subleaf, EXTENDED: EXTENDED | extended})
    return Policy(leaves, default.msrs, "the policy that the toolstack makes up")


def _double_topology(leaves: Leaves, default: Policy) -> None:
    """Makes room for vCPU n's APIC id of 2n in the numbers that tell of cores and threads."""
    a, b, c, d = leaves.get((1, 0), NO_REGISTERS)
    packages = b >> 16 & 0xFF
    if not packages & 0x80:
        packages = packages * 2 or 2
    leaves[1, 0] = a, (b & ~0xFF0000) | packages << 16, c, d
    if default.amd:
        a, b, c, d = leaves.get((EXTENDED | 8, 0), NO_REGISTERS)
        cores, bits = c & 0xFF, c >> 12 & 0xF
        if cores < _MOST_CORES:
            bits += 1 if 0 < bits < _MOST_BITS else 0
            cores = cores << 1 | 1
        leaves[EXTENDED | 8, 0] = a, b, (c & ~0xF0FF) | bits << 12 | cores, d
    elif default.vendor == INTEL:
        for subleaf in range(len([key for key in leaves if key[0] == _CACHES])):
            a, b, c, d = leaves.get((_CACHES, subleaf), NO_REGISTERS)
            if not a & 0x1F:
                break
            cores = ((a >> 26) << 1 | 1) & 0x3F
            leaves[_CACHES, subleaf] = (a & 0x3FFF) | cores << 26, b, c, d
