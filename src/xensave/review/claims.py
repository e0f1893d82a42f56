"""Who uses which numbers: vendors' registries, and what the caller states.

docs/reference/numbers/registry.md describes a registry.
"""

from __future__ import annotations

from collections.abc import Iterable

from xensave.catalogue.owned import OwnedRange, UsedNumber, ranges
from xensave.catalogue.registry import read_registry, shipped_names, shipped_registry


def claims(registries: Iterable[str], used: Iterable[str]) -> tuple[OwnedRange, ...]:
    """Returns what shipped registries, registry files and the `used` ranges say, in that order."""
    known = [shipped_registry(name).renamed(f"{name}.toml") for name in shipped_names()]
    known += [read_registry(path) for path in registries]
    return (
        *(owned for registry in known for owned in registry.ranges),
        *(owned for text in used for owned in used_ranges(text)),
    )


def used_ranges(text: str) -> list[OwnedRange]:
    """Returns numbers in use that the caller states, without a name.

    >>> [owned] = used_ranges("22-24")
    >>> str(owned), [used.number for used in owned.used]
    ('22 - 24', [22, 23, 24])
    """
    return [
        OwnedRange(
            first,
            last,
            "",
            source="--used",
            used=tuple(UsedNumber(number) for number in range(first, last + 1)),
        )
        for first, last in ranges(text)
    ]
