"""The CPU features that each release knows: names, words, who may have them, dependencies.

A featureset is Xen's order of the CPUID registers (and the halves of MSR 0x10a) that hold
features; a word is one of them. The data are read from every tag, see
`xensave.headers.survey.features`.
"""

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

from xensave.catalogue.dates import Version, series_numbers
from xensave.catalogue.files import read_data

if TYPE_CHECKING:
    from xensave.catalogue.raw import RawDated, RawFeatures

ALL_OF_MSR = "*"
OLDEST: Version = (4, 14, 0)
"""The first release whose streams carry CPU policies."""

_NEVER: Version = (1 << 17,)
"""Beyond every release, master too."""


class Word(NamedTuple):
    """A word of a featureset: its name in Xen, and its place.

    `register` is 0 to 3 for eax to edx; `msr` is set for the low (0) and high (3) half of an MSR,
    where `leaf` is its index.
    """

    name: str
    leaf: int
    subleaf: int
    register: int
    msr: bool = False


WORDS = (
    Word("1d", 1, 0, 3),
    Word("1c", 1, 0, 2),
    Word("e1d", 0x80000001, 0, 3),
    Word("e1c", 0x80000001, 0, 2),
    Word("Da1", 0xD, 1, 0),
    Word("7b0", 7, 0, 1),
    Word("7c0", 7, 0, 2),
    Word("e7d", 0x80000007, 0, 3),
    Word("e8b", 0x80000008, 0, 1),
    Word("7d0", 7, 0, 3),
    Word("7a1", 7, 1, 0),
    Word("e21a", 0x80000021, 0, 0),
    Word("7b1", 7, 1, 1),
    Word("7d2", 7, 2, 3),
    Word("7c1", 7, 1, 2),
    Word("7d1", 7, 1, 3),
    Word("m10Al", 0x10A, 0, 0, msr=True),
    Word("m10Ah", 0x10A, 0, 3, msr=True),
    Word("e21c", 0x80000021, 0, 2),
)
"""xen/include/public/arch-x86/cpufeatureset.h; the names are those of FEATURESET_* in lib/x86."""

COMMON_1D = 0x0183F3FF
"""The bits of leaf 1's edx that AMD repeats in leaf 0x80000001 (CPUID_COMMON_1D_FEATURES)."""


class Feature(NamedTuple):
    """A feature: its word and bit, and Xen's attributes ("A", "S", "H", in small letters: opt-in).

    "A" is for all guests, "S" for HVM guests, "H" for HVM guests with hardware assisted paging;
    no letter for none; "!" is a bit that Xen treats in a way of its own.
    """

    name: str
    word: int
    bit: int
    attributes: str


Spans = tuple[str, ...]
"""Runs of releases, each "FIRST:END", or "FIRST:" for one that goes on."""

_ALWAYS: Spans = ("0.0:",)


class Features:
    """What a release knows: features by (word, bit), places by name, what needs what, words.

    `dependents` maps a feature to all that go with it, directly or not, as (word, bit). `masks`
    are those that were asked for: by attributes, one a word.
    """

    __slots__ = ("by_bit", "dependents", "masks", "places", "words")

    def __init__(
        self,
        by_bit: dict[tuple[int, int], Feature],
        places: dict[str, tuple[int, int]],
        dependents: dict[tuple[int, int], frozenset[tuple[int, int]]],
        words: tuple[Word, ...],
    ) -> None:
        self.by_bit = by_bit
        self.places = places
        self.dependents = dependents
        self.words = words
        self.masks: dict[str, list[int]] = {}

    def name(self, word: int, bit: int) -> str:
        """Returns a bit's name in small letters, "WORD:BIT" where the release has none."""
        feature = self.by_bit.get((word, bit))
        return feature.name.lower() if feature else f"{WORDS[word].name}:{bit}"

    def place(self, name: str) -> tuple[int, int]:
        """Returns the word and bit of a name. Raises KeyError for one that the release lacks."""
        return self.places[name]

    def known(self, word: int) -> int:
        """Returns the bits of a word that have names, as a mask."""
        return self.mask(word, "")

    def mask(self, word: int, attributes: str) -> int:
        """Returns the bits of a word that some guests may have: "Aa" for PV, "AaSs" and so on.

        Without attributes they are all that have names.
        """
        masks = self.masks.get(attributes)
        if masks is None:
            wanted = set(attributes)
            masks = self.masks[attributes] = [0] * len(WORDS)
            for (number, bit), feature in self.by_bit.items():
                if not wanted or not wanted.isdisjoint(feature.attributes):
                    masks[number] |= 1 << bit
        return masks[word]


@cache
def features_of(version: Version) -> Features:
    """Returns the features of a release; before 4.14, the first with CPU policies, those of 4.14.0.

    >>> features = features_of((4, 17, 7))
    >>> features.name(6, 30), features_of((4, 20, 0)).name(6, 30), len(features.words)
    ('7c0:30', 'sgx_lc', 19)
    """
    at = max(version, OLDEST)
    return _features(frozenset(spans for spans in _all_spans() if _in_one(spans, at)))


@cache
def _features(in_force: frozenset[Spans]) -> Features:
    """Returns the features of all releases in which the rows of these runs are in force.

    Point releases of a series mostly share theirs.
    """
    raw = _load()
    by_bit = {
        (row["word"], row["bit"]): Feature(row["name"], row["word"], row["bit"], row["attributes"])
        for row in raw["features"]
        if _spans(row) in in_force
    }
    places = {feature.name: place for place, feature in by_bit.items()}
    capabilities = frozenset(place for place in by_bit if WORDS[place[0]].msr)
    direct: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for row in raw["dependencies"]:
        if _spans(row) in in_force:
            needing = direct.setdefault(places[row["needs"]], set())
            if row["feature"] == ALL_OF_MSR:
                needing |= capabilities
            else:
                needing.add(places[row["feature"]])
    words = tuple(WORDS[row["word"]] for row in raw["words"] if _spans(row) in in_force)
    return Features(by_bit, places, {place: _closure(place, direct) for place in direct}, words)


def latest_names() -> dict[tuple[int, int], str]:
    """Returns the name of every bit that has one in some release, by (word, bit); the latest."""
    return {(row["word"], row["bit"]): row["name"] for row in sorted(_load()["features"], key=_end)}


def _end(row: "RawDated") -> bool:
    spans = row.get("spans")
    return not spans or spans[-1].endswith(":")


def _closure(
    place: tuple[int, int], direct: dict[tuple[int, int], set[tuple[int, int]]]
) -> frozenset[tuple[int, int]]:
    closure: set[tuple[int, int]] = set()
    waiting = [place]
    while waiting:
        for dependent in direct.get(waiting.pop(), set()) - closure:
            closure.add(dependent)
            waiting.append(dependent)
    return frozenset(closure)


def _spans(row: "RawDated") -> Spans:
    """Returns the runs "FIRST:END" in which a row is in force; of one that always is, all."""
    spans = row.get("spans")
    return _ALWAYS if spans is None else tuple(spans)


@cache
def _all_spans() -> frozenset[Spans]:
    raw = _load()
    rows = (*raw["features"], *raw["dependencies"], *raw["words"])
    return frozenset(map(_spans, rows))


def _in_one(spans: Spans, at: Version) -> bool:
    return any(first <= at < end for first, end in map(_span, spans))


@cache
def _span(text: str) -> tuple[Version, Version]:
    first, _, end = text.partition(":")
    return series_numbers(first), series_numbers(end) if end else _NEVER


@cache
def _load() -> "RawFeatures":
    return cast("RawFeatures", read_data("features.json"))
