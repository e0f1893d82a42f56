"""Two CPU policies, leaf by leaf: what one has and the other has not."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.policy.featureset import changed_features
from xensave.policy.value import Policy

REGISTERS = ("eax", "ebx", "ecx", "edx")


class RegisterChange(NamedTuple):
    """A register of a leaf (or an MSR, of which `register` is "") with another value."""

    leaf: int
    subleaf: int
    register: str
    old: int
    new: int


class PolicyComparison(NamedTuple):
    """What changes from one policy to another: features by name, and registers."""

    lost: tuple[str, ...]
    gained: tuple[str, ...]
    registers: tuple[RegisterChange, ...]

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.registers)


def compare_policies(old: Policy, new: Policy, version: Version) -> PolicyComparison:
    """Returns what changes; features are named as in a release.

    >>> none, one = Policy({}, {}), Policy({(7, 0): (0, 0, 8, 0)}, {})
    >>> compare_policies(one, none, (4, 17, 7)).lost
    ('pku',)
    """
    changed = changed_features(old, new, version)
    differences = [
        RegisterChange(leaf, subleaf, register, mine, theirs)
        for leaf, subleaf in sorted(old.leaves.keys() | new.leaves.keys())
        for register, mine, theirs in zip(
            REGISTERS, old.leaf(leaf, subleaf), new.leaf(leaf, subleaf), strict=True
        )
        if mine != theirs
    ]
    differences += [
        RegisterChange(index, 0, "", old.msrs.get(index, 0), new.msrs.get(index, 0))
        for index in sorted(old.msrs.keys() | new.msrs.keys())
        if old.msrs.get(index, 0) != new.msrs.get(index, 0)
    ]
    return PolicyComparison(changed.lost, changed.gained, tuple(differences))
