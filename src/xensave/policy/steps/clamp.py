"""What Xen takes away from a policy without a word: recalculate_cpuid_policy().

Features that the host's maximum lacks go, and with each what depends on it; address widths and
XSAVE states follow. Nothing here refuses. Not modelled, for no image and no host file tells them:
HLE and RTM on hosts with MSR TSX_CTRL (4.14.0 - 4.14.2, 4.15.0), ITSC of domains that may not
migrate (4.14), and the host's own address width where its policy says a smaller one.
"""

from typing import NamedTuple

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.features import COMMON_1D, Features, features_of
from xensave.catalogue.model import Cite
from xensave.policy.featureset import featureset, replaced, with_featureset
from xensave.policy.host import fitted, fold_fpu_bits
from xensave.policy.limits import EXTENDED, limits_of
from xensave.policy.value import INTEL, NO_REGISTERS, Leaves, Policy, Registers
from xensave.records.meaning.cpu.area import AVX512, FP_SSE, MPX, PKRU, TILES, YMM

_FUNCTION = "recalculate_cpuid_policy"
TOPOLOGY_ALLOWED = Dated(
    "POLICY_TOPOLOGY_ALLOWED",
    "X86_CPUID_POLICY",
    "HTT, X2APIC and CMP_LEGACY are kept whatever the host's maximum is.",
    Cite(
        _FUNCTION,
        "e2d8a65225",
        "x86/cpu-policy: Fix visibility of HTT/CMP_LEGACY in max policies",
        "4.19",
    ),
    until=("4.17.4", "4.18.2", "4.19.0"),
)
AMX_STATES = Dated(
    "POLICY_AMX_STATES",
    "X86_CPUID_POLICY",
    "AMX_TILE gives XCR0 its two states.",
    Cite("recalculate_xstate", "e3b5440012", "x86/xstate: enable AMX components", "4.20"),
    since=("4.20.0",),
)
LEAF_21_CLEARED = Dated(
    "POLICY_LEAF_80000021_CLEARED",
    "X86_CPUID_POLICY",
    "EBX and EDX of leaf 0x80000021 are cleared on AMD.",
    Cite(
        "recalculate_misc",
        "10dc35c516",
        "x86/cpu-policy: Fix handling of leaf 0x80000021",
        "4.21",
    ),
    since=("4.17.6", "4.18.6", "4.19.3", "4.20.1", "4.21.0"),
)
LATE_LEAVES_CLEARED = Dated(
    "POLICY_LEAVES_8000001D_CLEARED",
    "X86_CPUID_POLICY",
    "Leaves 0x8000001d to 0x80000020 are cleared on AMD.",
    Cite(
        "recalculate_misc",
        "d4012d5008",
        "x86/cpuid: Clobber CPUID leaves 0x800000{1d..20} in policies",
        "4.17",
    ),
    since=("4.14.5", "4.15.3", "4.16.1", "4.17.0"),
)
DIFFERENCES = (TOPOLOGY_ALLOWED, AMX_STATES, LEAF_21_CLEARED, LATE_LEAVES_CLEARED)

_EXTENDED_OF_OTHERS = 0x8
_XSTATE_LEAF = 0xD
_HIGHEST_WIDTH = 52
PV32 = 32
# The states of XCR0 by the feature that brings them.
_STATES = (("avx", YMM), ("mpx", MPX), ("avx512f", AVX512), ("pku", PKRU))
_AMX = "amx_tile"
STATE_FEATURES = frozenset((*(name for name, _ in _STATES), _AMX))
"""The features that bring states of XCR0."""

_Masks = tuple[tuple[int, Registers], ...]
# What guests see of leaves: on every CPU, and on Intel's beside that.
_SEEN: _Masks = (
    (1, (0x0FFF0FFF, 0x00FFFFFF, ~0, ~0)),
    (EXTENDED | 1, (~0, ~0, ~0, ~COMMON_1D)),
    (EXTENDED | 7, (0, 0, 0, ~0)),
    (EXTENDED | 8, (~0, ~0, ~0, 0)),
)
_SEEN_ON_INTEL: _Masks = (
    (EXTENDED, (~0, 0, 0, 0)),
    (EXTENDED | 1, (0, 0, ~0, ~0)),
    (EXTENDED | 6, (0, 0, ~0, 0)),
    (EXTENDED | 8, (0xFFFF, ~0, 0, ~0)),
)


class Guest(NamedTuple):
    """What of a domain its policy depends on: type, paging, nested virtualisation, width."""

    pv: bool = False
    hap: bool = True
    nested: bool = False
    bits: int = 64


def clamped(
    policy: Policy,
    maximum: Policy,
    version: Version,
    guest: Guest | None = None,
    physical: Policy | None = None,
) -> Policy:
    """Returns the policy that a domain has in the end.

    `maximum` is the host's HVM Max or PV Max policy, `physical` its Host policy, by default the
    same. Both are cut to what the release has room for.
    """
    guest = guest or Guest()
    most = fitted(maximum, version)
    host = most if physical is None else fitted(physical, version)
    shrunk = _maxima(policy, most, version)
    words = _features(shrunk, most, version, guest)
    fold_fpu_bits(words, host, version)
    result = with_featureset(shrunk, words, version)
    return _misc(_xstate(_widths(result, most), most, version), version)


def _maxima(policy: Policy, most: Policy, version: Version) -> Policy:
    """Lowers the numbers of leaves to the host's, the extended one to the vendor's."""
    leaves = dict(policy.leaves)
    for leaf in (0, 7):
        registers = policy.leaf(leaf)
        leaves[leaf, 0] = replaced(registers, 0, min(registers[0], most.leaf(leaf)[0]))
    last = limits_of(version).extended & 0xFFFF if policy.amd else _EXTENDED_OF_OTHERS
    registers = policy.leaf(EXTENDED)
    leaves[EXTENDED, 0] = replaced(registers, 0, EXTENDED | min(registers[0] & 0xFFFF, last))
    return policy.with_leaves(leaves)


def _features(policy: Policy, most: Policy, version: Version, guest: Guest) -> list[int]:
    """Clamps the features to the host's and to what the guest's kind may have."""
    features = features_of(version)
    allowed = _allowed(most, version, guest)
    words = [mine & mask for mine, mask in zip(featureset(policy, version), allowed, strict=True)]
    if policy.leaf(0)[0] < _XSTATE_LEAF:
        _forbid(words, features, "XSAVE")
    words = [mine & features.known(word) for word, mine in enumerate(words)]
    for (word, bit), dependents in features.dependents.items():
        if not words[word] >> bit & 1:
            for other, gone in dependents:
                words[other] &= ~(1 << gone)
    return words


def _allowed(most: Policy, version: Version, guest: Guest) -> list[int]:
    """Returns the features that a guest of this kind may have at most."""
    features = features_of(version)
    allowed = featureset(most, version)
    if not guest.pv and not guest.hap:
        allowed = [mask & features.mask(word, "AaSs") for word, mask in enumerate(allowed)]
    if not guest.pv and not guest.nested:
        _forbid(allowed, features, "VMX", "SVM")
    if TOPOLOGY_ALLOWED.holds(version):
        for name in ("HTT", "X2APIC", "CMP_LEGACY"):
            word, bit = features.place(name)
            allowed[word] |= 1 << bit
    if guest.pv and guest.bits == PV32:
        _forbid(allowed, features, "LM", *(() if most.amd else ("SYSCALL",)))
    return allowed


def _forbid(words: list[int], features: Features, *names: str) -> None:
    for name in names:
        word, bit = features.place(name)
        words[word] &= ~(1 << bit)


def _widths(policy: Policy, most: Policy) -> Policy:
    """Sets the cache line size, and the address widths to what the host has, at least 32 or 36."""
    leaves = dict(policy.leaves)
    a, b, c, d = policy.leaf(1)
    leaves[1, 0] = a, (b & ~0xFF00) | (most.leaf(1)[1] & 0xFF00), c, d
    a, b, c, d = policy.leaf(EXTENDED | 8)
    width = min(a & 0xFF, most.leaf(EXTENDED | 8)[0] & 0xFF, _HIGHEST_WIDTH)
    width = max(width, 36 if policy.has("pae") or policy.has("pse36") else 32)
    linear = 48 if policy.has("lm") else 32
    leaves[EXTENDED | 8, 0] = (a & ~0xFFFF) | linear << 8 | width, b, c, d
    return policy.with_leaves(leaves)


def _xstate(policy: Policy, most: Policy, version: Version) -> Policy:
    """Makes leaf 0xd anew from the features; without XSAVE it is empty."""
    leaves = {key: value for key, value in policy.leaves.items() if key[0] != _XSTATE_LEAF}
    if policy.has("xsave"):
        states = FP_SSE | sum(bits for name, bits in _STATES if policy.has(name))
        if AMX_STATES.holds(version) and policy.has(_AMX):
            states |= TILES
        size = most.xsave_size(states)
        leaves[_XSTATE_LEAF, 0] = states & 0xFFFFFFFF, 0, size, states >> 32
        leaves[_XSTATE_LEAF, 1] = policy.leaf(_XSTATE_LEAF, 1)[0], 0, 0, 0
        for index in range(2, states.bit_length()):
            if states >> index & 1:
                a, b, c, _ = most.leaf(_XSTATE_LEAF, index)
                leaves[_XSTATE_LEAF, index] = a, b, c & 0x3, 0
    return policy.with_leaves(leaves)


def _misc(policy: Policy, version: Version) -> Policy:
    """Clears what guests do not see, by vendor."""
    leaves = dict(policy.leaves)
    for leaf in (5, 6, 8, 0xC):
        leaves.pop((leaf, 0), None)
    for subleaf in (0, 1):
        leaves.pop((0xB, subleaf), None)
    _mask(leaves, _SEEN)
    if policy.vendor == INTEL:
        _intel(leaves)
    elif policy.amd:
        _amd(leaves, version)
    leaves.pop((0xA, 0), None)
    for leaf, feature in ((0xA, "svm"), (0x19, "page1gb")):
        if not policy.has(feature):
            leaves.pop((EXTENDED | leaf, 0), None)
    _caches(leaves, version)
    return policy.with_leaves(leaves)


def _intel(leaves: Leaves) -> None:
    a, b, c, d = leaves.get((2, 0), NO_REGISTERS)
    leaves[2, 0] = (a & ~0xFF) | 1, b, c, d
    for leaf in (3, 9, EXTENDED | 5):
        leaves.pop((leaf, 0), None)
    _mask(leaves, _SEEN_ON_INTEL)


def _caches(leaves: Leaves, version: Version) -> None:
    """Clears reserved bits of leaf 4, and what follows the last cache."""
    known = True
    for subleaf in range(limits_of(version).subleaves[4] + 1):
        a, b, c, d = leaves.pop((4, subleaf), NO_REGISTERS)
        known = known and 1 <= a & 0x1F <= 3
        if known:
            leaves[4, subleaf] = a & 0xFFFFC3FF, b, c, d & 0x7


_NOT_AMD = (2, 3, 9, 0xA, *(EXTENDED | leaf for leaf in (9, *range(0xB, 0x19), 0x1B, 0x1C)))


def _amd(leaves: Leaves, version: Version) -> None:
    gone = list(_NOT_AMD)
    if LATE_LEAVES_CLEARED.holds(version):
        gone += [EXTENDED | leaf for leaf in range(0x1D, 0x21)]
    for leaf in gone:
        leaves.pop((leaf, 0), None)
    for subleaf in range(limits_of(version).subleaves[4] + 1):
        leaves.pop((4, subleaf), None)
    vendor = leaves.get((0, 0), NO_REGISTERS)
    leaves[EXTENDED, 0] = leaves[EXTENDED, 0][0], vendor[1], vendor[2], vendor[3]
    basic = leaves.get((1, 0), NO_REGISTERS)
    _, b, c, d = leaves.get((EXTENDED | 1, 0), NO_REGISTERS)
    leaves[EXTENDED | 1, 0] = basic[0], b & 0xFF00FFFF, c, d | (basic[3] & COMMON_1D)
    _mask(leaves, ((EXTENDED | 8, (0xFFFF, ~0, 0x3F0FF, ~0)),))
    if LEAF_21_CLEARED.holds(version):
        _mask(leaves, ((EXTENDED | 0x21, (~0, 0, ~0, 0)),))


def _mask(leaves: Leaves, masks: _Masks) -> None:
    for leaf, (mask_a, mask_b, mask_c, mask_d) in masks:
        if (leaf, 0) in leaves:
            a, b, c, d = leaves[leaf, 0]
            leaves[leaf, 0] = a & mask_a, b & mask_b, c & mask_c, d & mask_d
