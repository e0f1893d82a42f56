"""The CPU policy that a domain is held to: which features, MSRs and sizes its state may have.

It is what a v3 stream carries as X86_CPUID_POLICY and X86_MSR_POLICY. Features are named as in
Xen's cpufeatureset.h.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cache

from xensave.catalogue.dates import begun, version

NO_SUBLEAF = 0xFFFFFFFF
AMD = "AuthenticAMD"
INTEL = "GenuineIntel"
_SVM_VENDORS = (AMD, "HygonGenuine")

# (leaf, subleaf, register, bit): the features that load handlers ask for.
FEATURES = {
    "vme": (1, 0, 3, 1),
    "de": (1, 0, 3, 2),
    "pse": (1, 0, 3, 3),
    "tsc": (1, 0, 3, 4),
    "pae": (1, 0, 3, 6),
    "mce": (1, 0, 3, 7),
    "pge": (1, 0, 3, 13),
    "mca": (1, 0, 3, 14),
    "fxsr": (1, 0, 3, 24),
    "sse": (1, 0, 3, 25),
    "vmx": (1, 0, 2, 5),
    "pcid": (1, 0, 2, 17),
    "xsave": (1, 0, 2, 26),
    "fsgsbase": (7, 0, 1, 0),
    "smep": (7, 0, 1, 7),
    "mpx": (7, 0, 1, 14),
    "smap": (7, 0, 1, 20),
    "umip": (7, 0, 2, 2),
    "pku": (7, 0, 2, 3),
    "cet_ss": (7, 0, 2, 7),
    "pks": (7, 0, 2, 31),
    "cet_ibt": (7, 0, 3, 20),
    "ibrsb": (7, 0, 3, 26),
    "ssbd": (7, 0, 3, 31),
    "lass": (7, 1, 0, 6),
    "intel_psfd": (7, 2, 3, 0),
    "ipred_ctrl": (7, 2, 3, 1),
    "rrsba_ctrl": (7, 2, 3, 2),
    "bhi_ctrl": (7, 2, 3, 4),
    "xsaves": (0xD, 1, 0, 3),
    "svm": (0x80000001, 0, 2, 2),
    "dbext": (0x80000001, 0, 2, 26),
    "syscall": (0x80000001, 0, 3, 11),
    "nx": (0x80000001, 0, 3, 20),
    "ffxsr": (0x80000001, 0, 3, 25),
    "lm": (0x80000001, 0, 3, 29),
    "ibrs": (0x80000008, 0, 1, 14),
    "amd_ssbd": (0x80000008, 0, 1, 24),
    "virt_ssbd": (0x80000008, 0, 1, 25),
    "psfd": (0x80000008, 0, 1, 28),
    "auto_ibrs": (0x80000021, 0, 0, 8),
}

# Offset and size of the extended state components in the standard format (Intel SDM vol. 1,
# 13.5), for a policy that does not describe one.
_COMPONENTS = {
    2: (576, 256),
    3: (960, 64),
    4: (1024, 64),
    5: (1088, 64),
    6: (1152, 512),
    7: (1664, 1024),
    9: (2688, 8),
    17: (2752, 64),
    18: (2816, 8192),
}
_LEGACY_SIZE = 576
_MSR_PLATFORM_INFO = 0xCE
_CPUID_FAULTING = 1 << 31

Leaf = tuple[int, int, int, int]


class Policy:
    """A domain's CPU policy, from CPUID leaves and MSRs.

    `vendor` is the CPUID vendor string, `signature` leaf 1's EAX,
    `maxphysaddr` in bits, `xcr0_max` the states that XCR0
    may enable. `source` says where it comes from.

    >>> default_policy("4.17").has("pku"), hex(default_policy("4.13").xcr0_max)
    (True, '0x21f')
    """

    def __init__(
        self, leaves: dict[tuple[int, int], Leaf], msrs: dict[int, int], source: str = ""
    ) -> None:
        self.leaves = leaves
        self.msrs = msrs
        self.source = source
        vendor = self._leaf(0, 0)
        octets = b"".join(vendor[index].to_bytes(4, "little") for index in (1, 3, 2))
        self.vendor = octets.decode("latin-1")
        self.amd = self.vendor in _SVM_VENDORS
        self.features = frozenset(name for name, place in FEATURES.items() if self._bit(place))
        self.signature = self._leaf(1, 0)[0]
        self.maxphysaddr = self._leaf(0x80000008, 0)[0] & 0xFF or 36
        state = self._leaf(0xD, 0)
        self.xcr0_max = state[3] << 32 | state[0] if self.has("xsave") else 0
        self.cpuid_faulting = bool(msrs.get(_MSR_PLATFORM_INFO, 0) & _CPUID_FAULTING)

    @classmethod
    def of(
        cls,
        leaves: Iterable[tuple[int, int, int, int, int, int]],
        msrs: dict[int, int],
        source: str,
    ) -> Policy:
        """Make a policy from (leaf, subleaf, eax, ebx, ecx, edx) as an image's record has them."""
        table = {}
        for leaf, subleaf, a, b, c, d in leaves:
            table[leaf, 0 if subleaf == NO_SUBLEAF else subleaf] = (a, b, c, d)
        return cls(table, msrs, source)

    def _leaf(self, leaf: int, subleaf: int) -> Leaf:
        return self.leaves.get((leaf, subleaf), (0, 0, 0, 0))

    def _bit(self, place: tuple[int, int, int, int]) -> bool:
        leaf, subleaf, register, bit = place
        return bool(self._leaf(leaf, subleaf)[register] >> bit & 1)

    def has(self, feature: str) -> bool:
        """Whether the policy has a feature."""
        return feature in self.features

    def xsave_size(self, xcr0: int) -> int:
        """Return the bytes of an XSAVE area in the standard format with these states enabled."""
        size, states = _LEGACY_SIZE, xcr0 >> 2
        index = 2
        while states:
            if states & 1:
                length, start, _, _ = self._leaf(0xD, index)
                if not length:
                    start, length = _COMPONENTS.get(index, (0, 0))
                size = max(size, start + length)
            states >>= 1
            index += 1
        return size


@cache
def default_policy(release: str) -> Policy:
    """Return the policy that a release gives a domain on the CPU of the sample images.

    That CPU is AMD-like, with PKU, without AVX-512: QEMU's "max" model in software emulation.
    Until 4.13 domains had MPX by default where the host has it, this one does; from 4.14 not.
    """
    raw = _load()
    parts = ["leaves"] if begun(("4.14",), version(release)) else ["leaves", "leaves_until_4.13"]
    leaves = [_leaf(row) for part in parts for row in raw[part]]
    msrs = {int(index, 16): int(value, 16) for index, value in raw["msrs"]}
    return Policy.of(leaves, msrs, f"the default CPU policy of Xen {release} on the samples' host")


def _leaf(row: list[str]) -> tuple[int, int, int, int, int, int]:
    leaf, subleaf, a, b, c, d = (int(text, 16) for text in row)
    return leaf, subleaf, a, b, c, d


@cache
def _load() -> dict[str, list[list[str]]]:
    path = os.path.join(os.path.dirname(__file__), "data", "default.json")  # noqa: PTH118, PTH120
    with open(path, "rb") as file:
        found: dict[str, list[list[str]]] = json.load(file)
    return found
