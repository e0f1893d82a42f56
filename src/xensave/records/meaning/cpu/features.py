"""The features that CPUID enumerates, by leaf, subleaf and output register, as register tables.

Names are the newest that Xen gave a bit; `xensave.catalogue.features` has those of each release.
"""

from __future__ import annotations

from functools import cache

from xensave.catalogue.features import COMMON_1D, WORDS, latest_names
from xensave.records.meaning.bits import Bit, Register

REPEATED = "-"
"""Stands for a bit that AMD repeats in leaf 0x80000001: shown with leaf 1 only."""


@cache
def feature_tables() -> dict[tuple[int, int, str], Register]:
    """Returns the table of each register that has features, by (leaf, subleaf, "a" to "d").

    >>> [bit.name for bit in feature_tables()[7, 2, "d"]][:3]
    ['INTEL_PSFD', 'IPRED_CTRL', 'RRSBA_CTRL']
    """
    tables: dict[tuple[int, int, str], list[Bit]] = {}
    for (word, bit), name in sorted(latest_names().items()):
        place = WORDS[word]
        if not place.msr:
            key = place.leaf, place.subleaf, "abcd"[place.register]
            tables.setdefault(key, []).append(Bit(bit, 1, name))
    repeated = [Bit(bit, 1, REPEATED) for bit in range(32) if COMMON_1D >> bit & 1]
    tables[0x80000001, 0, "d"] += repeated
    return {key: tuple(bits) for key, bits in tables.items()}


@cache
def places() -> dict[str, tuple[int, int, int, int]]:
    """Returns where each feature is: leaf, subleaf, register (0 to 3 for a to d) and bit, by name.

    Names are in small letters. The features of MSR 0x10a are not among them.

    >>> places()["pku"]
    (7, 0, 2, 3)
    """
    return {
        name.lower(): (WORDS[word].leaf, WORDS[word].subleaf, WORDS[word].register, bit)
        for (word, bit), name in latest_names().items()
        if not WORDS[word].msr
    }
