"""Which features a guest cannot do without: those whose loss makes its state be refused.

The answer comes from trying: the policy without one feature, and without what depends on it, is
put before the same loader. So it is exact for the release, and needs no table of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.catalogue.features import Features, features_of
from xensave.policy.featureset import featureset, with_featureset
from xensave.policy.steps.clamp import STATE_FEATURES, Guest, clamped
from xensave.policy.value import Policy

Refuses = Callable[[Policy], "str | None"]
"""Whether a guest's state is refused under a policy: the reason, or None."""


class Needs(NamedTuple):
    """Features of a policy by name: those in use, each with what refuses without it, and the rest.

    A feature is in use that itself, or as what another one depends on, cannot be taken away.
    """

    in_use: dict[str, str]
    offered: tuple[str, ...]


def needs(policy: Policy, version: Version, refuses: Refuses, guest: Guest | None = None) -> Needs:
    """Returns what a guest needs of its policy, as a release's loader sees it.

    The loader must take the policy as it is. Only features that it asks about, itself or by those
    that depend on them, are tried.
    """
    names = names_of(policy, version)
    asked = _Asked(policy)
    refuses(asked)
    # A loader asks for these by the states of XCR0 that they bring.
    tried = _reaching(names, asked.names | STATE_FEATURES, features_of(version))
    in_use = missed(policy, tried, version, refuses, guest)
    return Needs(in_use, tuple(name for name in names if name not in in_use))


class _Asked(Policy):
    """A policy that notes which features it is asked for."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy.leaves, policy.msrs, policy.source)
        self.names: set[str] = set()

    def has(self, feature: str) -> bool:
        self.names.add(feature)
        return super().has(feature)


def _reaching(names: Iterable[str], asked: set[str], features: Features) -> list[str]:
    """Returns the features whose loss takes one of those asked for away."""
    texts = []
    for name in names:
        place = features.places[name.upper()]
        gone = {features.name(*dependent) for dependent in features.dependents.get(place, ())}
        if (gone | {name}) & asked:
            texts.append(name)
    return texts


def missed(
    policy: Policy,
    names: Iterable[str],
    version: Version,
    refuses: Refuses,
    guest: Guest | None = None,
) -> dict[str, str]:
    """Returns those of some features without which alone the state is refused, and why."""
    places = features_of(version).places
    features: dict[str, str] = {}
    for name in names:
        place = places.get(name.upper())
        if place is None:
            continue
        reason = refuses(without(policy, place, version, guest))
        if reason is not None:
            features[name] = reason
    return features


def without(
    policy: Policy, place: tuple[int, int], version: Version, guest: Guest | None = None
) -> Policy:
    """Returns a policy without a feature (its word and bit) and what depends on it."""
    words = featureset(policy, version)
    words[place[0]] &= ~(1 << place[1])
    return clamped(policy, with_featureset(policy, words, version), version, guest)


def names_of(policy: Policy, version: Version) -> list[str]:
    """Returns the names of a policy's features in Xen's order, as a release has them."""
    features = features_of(version)
    return [
        features.name(word, bit)
        for word, value in enumerate(featureset(policy, version))
        for bit in range(32)
        if value >> bit & 1 and (word, bit) in features.by_bit
    ]
