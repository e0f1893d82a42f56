"""A policy's features as words in Xen's order, and a policy with other features.

The words are those that a release's featureset has: registers that it lacks are neither clamped
nor compared there.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.catalogue.features import Word, features_of
from xensave.policy.value import NO_REGISTERS, Policy, Registers

_WORD = 0xFFFFFFFF
_HIGH = 3


class FeatureChanges(NamedTuple):
    """Features by name, as the release has them, that a policy lost and gained."""

    lost: tuple[str, ...]
    gained: tuple[str, ...]


def featureset(policy: Policy, version: Version) -> list[int]:
    """Returns the words of a policy's features."""
    leaves, msrs = policy.leaves, policy.msrs
    return [
        msrs.get(word.leaf, 0) >> (32 if word.register == _HIGH else 0) & _WORD
        if word.msr
        else leaves.get((word.leaf, word.subleaf), NO_REGISTERS)[word.register]
        for word in features_of(version).words
    ]


def with_featureset(policy: Policy, words: Sequence[int], version: Version) -> Policy:
    """Returns a policy with these features and all else as it was."""
    return with_words(policy, zip(features_of(version).words, words, strict=True))


def with_words(policy: Policy, words: Iterable[tuple[Word, int]]) -> Policy:
    """Returns a policy with these words of features and all else as it was."""
    leaves, msrs = dict(policy.leaves), dict(policy.msrs)
    for word, value in words:
        if word.msr:
            shift = 32 if word.register == _HIGH else 0
            old = msrs.get(word.leaf, 0)
            msrs[word.leaf] = (old & ~(_WORD << shift)) | value << shift
        else:
            key = word.leaf, word.subleaf
            leaves[key] = replaced(leaves.get(key, NO_REGISTERS), word.register, value)
    return Policy(leaves, msrs, policy.source)


def replaced(registers: Registers, index: int, value: int) -> Registers:
    """Returns a leaf's registers with one of them (0 to 3) changed.

    >>> replaced((1, 2, 3, 4), 2, 9)
    (1, 2, 9, 4)
    """
    changed = list(registers)
    changed[index] = value
    a, b, c, d = changed
    return a, b, c, d


def changed_features(before: Policy, after: Policy, version: Version) -> FeatureChanges:
    """Returns which features one policy has and the other has not, by name."""
    features = features_of(version)
    lost: list[str] = []
    gained: list[str] = []
    pairs = zip(featureset(before, version), featureset(after, version), strict=True)
    for word, (old, new) in enumerate(pairs):
        if old == new:
            continue
        for bit in range(32):
            if (old ^ new) >> bit & 1:
                (lost if old >> bit & 1 else gained).append(features.name(word, bit))
    return FeatureChanges(tuple(lost), tuple(gained))
