"""The data files' own shapes: what the JSON holds, before it becomes the catalogue's values."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from xensave.catalogue.model import LoadMode, RecordKind


class RawField(TypedDict):
    """A field as the data files hold it; what is left out stands at its default."""

    name: str
    type: str
    offset: int
    size: int
    dims: NotRequired[list[int]]
    bits: NotRequired[list[int]]
    fields: NotRequired[list[RawField]]
    union: NotRequired[bool]


class RawCitation(TypedDict):
    """A commit."""

    commit: str
    subject: str
    release: str


class RawShape(TypedDict):
    """A struct on 32-bit x86; without fields, they are those of x86-64."""

    size: int
    align: int
    fields: NotRequired[list[RawField]]


class RawLayout(TypedDict):
    """One layout of a record's file."""

    id: str
    struct: str
    size: int
    align: int
    flexible: bool
    compat: bool
    releases: list[str]
    introduced: RawCitation | None
    fields: list[RawField]
    x86_32: NotRequired[RawShape]


class RawRecord(TypedDict):
    """A record's file."""

    schema: int
    record: str
    layouts: list[RawLayout]


class RawBinding(TypedDict):
    """A binding of a release."""

    name: str
    typecode: int
    layout: str
    size: int
    kind: RecordKind
    load: LoadMode
    compat: NotRequired[str]
    handler: NotRequired[str]
    save: NotRequired[str]
    check: NotRequired[str]
    instances: NotRequired[int]
    file: NotRequired[str]


class RawReservation(TypedDict):
    """A reservation of a release."""

    first: int
    last: int
    owner: str
    source: str
    citation: NotRequired[RawCitation]


class RawVariant(TypedDict):
    """Point releases that differ."""

    refs: list[str]
    code_max: int
    entry_size: int
    check_pass: bool
    bindings: list[RawBinding]
    absent: NotRequired[list[str]]


class RawRelease(TypedDict):
    """A release's file."""

    schema: int
    name: str
    ref: str
    commit: str
    code_max: int
    entry_size: int
    check_pass: bool
    stream_write: int
    stream_read: list[int]
    bindings: list[RawBinding]
    reservations: list[RawReservation]
    variants: list[RawVariant]


class IndexEntry(TypedDict):
    """What the index says of a record: its number, its releases, its layouts' ids and sizes."""

    typecode: int
    first: str
    last: str
    layouts: list[tuple[str, int, bool]]


class Index(TypedDict):
    """The index of the data files."""

    schema: int
    releases: list[str]
    aliases: dict[str, str]
    records: dict[str, IndexEntry]
    spaces: list[str]


class RawNumber(TypedDict):
    """A number of another space."""

    number: int
    name: str
    macro: str
    first: str
    last: str


class RawSpace(TypedDict):
    """Another numbered ABI's file."""

    schema: int
    space: str
    title: str
    limits: list[tuple[str, int]]
    versions: NotRequired[list[tuple[str, int]]]
    retired: NotRequired[list[tuple[int, str]]]
    numbers: list[RawNumber]


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

    schema: int
    words: list[RawWord]
    features: list[RawFeature]
    dependencies: list[RawDependency]
