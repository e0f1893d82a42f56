"""A scan: what is new or changed is looked at, in batches, by workers; rows go into parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from xensave import __version__
from xensave.catalogue.points import asked_for
from xensave.errors import MissingExtra
from xensave.fleet.parts import PartsWriter, check_table, done, folder_of, locked, merge
from xensave.fleet.schema import VERSION, Row
from xensave.fleet.sources import entries
from xensave.source.remote import listed
from xensave.source.remote.addresses import StoreObject

BATCH = 32
"""How many images a worker is handed at once."""


class Question(NamedTuple):
    """What a scan asks of each image: the targets, the host, and whether to walk all of it."""

    targets: tuple[str, ...]
    host: str | None = None
    walk: bool = False

    def settings(self) -> str:
        """Returns it as text: rows that were got by another question are not taken over."""
        host = None
        if self.host is not None:
            host = hashlib.sha256(Path(self.host).read_bytes()).hexdigest()
        return json.dumps([VERSION, __version__, self.targets, host, self.walk])


class Pool(Protocol):
    """Workers that make rows of images, in any order."""

    def rows(self, batches: Iterator[Sequence[StoreObject]]) -> Iterator[list[Row]]:
        """Yields each batch's rows as they are done."""


class ScanProgress(NamedTuple):
    """How far a scan is: images looked at in this run, and how many there are to look at."""

    images: int
    of: int


class ScanResult(NamedTuple):
    """What a scan did: rows in the table, images looked at in this run, and errors among those."""

    rows: int
    looked_at: int
    errors: int
    ended: bool = True


def scan(
    sources: Iterable[str],
    table: str,
    question: Question,
    pool: Pool,
    tell: Callable[[ScanProgress], None] = lambda _: None,
) -> ScanResult:
    """Scans sources into a table; what it has already of an unchanged image stays.

    The table itself is no image, wherever the sources find it. KeyboardInterrupt ends the scan:
    what is done by then is merged, and `ended` is False. Raises UsageError for a target that is
    no release, SourceError where a source names nothing, the table cannot be written, or what
    lies there is no such table.
    """
    try:
        import pyarrow  # noqa: F401 - better known before the first image is read
    except ImportError as error:
        raise MissingExtra("writing a table", "pyarrow", "fleet") from error
    for target in question.targets:
        asked_for(target)
    check_table(table)
    with locked(table):
        return _scan(entries(sources, (table, str(folder_of(table)))), table, question, pool, tell)


def _scan(
    listing: Iterable[StoreObject],
    table: str,
    question: Question,
    pool: Pool,
    tell: Callable[[ScanProgress], None],
) -> ScanResult:
    settings = question.settings()
    wanted = {listed(entry.address): entry for entry in listing}
    keys = {address: entry.key for address, entry in wanted.items()}
    had = done(table, settings)
    todo = [entry for name, entry in wanted.items() if had.get(name) != keys[name] or _mute(entry)]
    writer = PartsWriter(table, settings)
    looked_at = errors = 0
    ended = True
    tell(ScanProgress(0, len(todo)))
    try:
        # An image that is walked takes seconds to hours: what is done is told and kept by itself.
        for rows in pool.rows(_batches(todo, 1 if question.walk else BATCH)):
            writer.add(rows)
            looked_at += len(rows)
            errors += sum(row["error"] is not None for row in rows)
            tell(ScanProgress(looked_at, len(todo)))
    except KeyboardInterrupt:
        ended = False
    writer.flush()
    merged = merge(table, settings, keys, writer.written)
    return ScanResult(merged, looked_at, errors, ended)


def _mute(entry: StoreObject) -> bool:
    """Tells whether nothing says that an image is as it was: a device, an object without dates."""
    return entry.mtime is None and entry.etag is None


def _batches(todo: Sequence[StoreObject], images: int) -> Iterator[Sequence[StoreObject]]:
    for at in range(0, len(todo), images):
        yield todo[at : at + images]
