"""What a data file's JSON holds where no value of the catalogue is made of it: index, features."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class IndexEntry(TypedDict):
    """What the index says of a record: its number, its releases, its layouts' ids and sizes."""

    typecode: int
    first: str
    last: str
    layouts: list[tuple[str, int, bool]]


class Index(TypedDict):
    """The index of the data files."""

    releases: list[str]
    aliases: dict[str, str]
    records: dict[str, IndexEntry]
    spaces: list[str]


class RawDated(TypedDict):
    """A row with the runs of releases in which it holds, "FIRST:END"; always without."""

    spans: NotRequired[list[str]]


class RawWord(RawDated):
    """A word of a featureset."""

    word: int


class RawFeature(RawDated):
    """A CPU feature."""

    name: str
    word: int
    bit: int
    attributes: str


class RawDependency(RawDated):
    """A feature that needs another."""

    feature: str
    needs: str


class RawFeatures(TypedDict):
    """features.json."""

    words: list[RawWord]
    features: list[RawFeature]
    dependencies: list[RawDependency]
