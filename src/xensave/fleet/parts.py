"""A table while it is made: whole parts beside it, merged into one file at the end."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xensave.errors import SourceError
from xensave.fleet.schema import SETTINGS_KEY, VERSION, VERSION_KEY, Row, schema, text_of
from xensave.fleet.size import table_size
from xensave.source.output import AtomicFile
from xensave.source.remote import is_address
from xensave.source.remote.addresses import Key

if TYPE_CHECKING:
    import pyarrow

ROWS = 512
"""How many rows a part holds; also what is read and written of a table at once."""

PATIENCE = 10.0
"""After how many seconds rows are kept that make no full part: a kill costs no more than these."""

_MAGIC = b"PAR1"
"""What a Parquet file begins with."""

_KEY = ("size", "mtime", "etag")
"""The columns of an image's key."""


def folder_of(table: str) -> Path:
    """Returns the folder of a table's parts."""
    return Path(f"{table}.parts")


def parts_of(table: str) -> list[Path]:
    """Returns a table's parts, in the order in which they were written."""
    return sorted(folder_of(table).glob(f"{8 * '[0-9]'}.parquet"))


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Keeps a table and its parts for one scan; the folder of the parts goes when it is empty.

    Raises SourceError where another scan has it, or nothing can be written there.
    """
    folder = folder_of(table)
    if Path(table).is_dir():
        raise SourceError(f"{table}: is a directory")
    try:
        folder.mkdir(exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}") from error
    try:
        _lock(fd, table)
        yield
    finally:
        with suppress(OSError):
            folder.rmdir()
        os.close(fd)


def _lock(fd: int, table: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = os.fstat(fd).st_nlink == 0
    except BlockingIOError:
        gone = True
    except OSError:
        return  # a file system without locks
    if gone:
        raise SourceError(f"{table}: another scan is writing it")


def faults() -> tuple[type[Exception], ...]:
    """Returns what pyarrow raises, and what reading raises, for what is no table of a fleet."""
    import pyarrow as pa

    return (OSError, ValueError, LookupError, TypeError, pa.ArrowException)


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says; its class where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_table(table: str) -> None:
    """Raises SourceError where a file is there that is no table of a scan, or a later version's."""
    import pyarrow.parquet as pq

    if not Path(table).exists():
        return
    try:
        with opened(table) as file:
            metadata = pq.read_schema(file).metadata or {}
    except faults() as error:
        raise SourceError(f"{table}: is no table of a fleet: {error}") from error
    version = bytes(metadata.get(VERSION_KEY, b"")).decode("ascii", "replace")
    if not version.isdecimal() or len(version) > 9:
        raise SourceError(f"{table}: is no table of a fleet: it has no {VERSION_KEY.decode()}")
    if int(version) > VERSION:
        raise SourceError(f"{table}: is version {version} of the table; known up to {VERSION}")


def opened(path: str) -> BinaryIO:
    """Opens a table for pyarrow, which takes only a path that is UTF-8."""
    return open(path, "rb")


def files_of(table: str) -> list[str]:
    """Returns the Parquet files of a table: itself, and the parts of a scan that did not end."""
    files = [table] if Path(table).is_file() else []
    return files + [str(part) for part in parts_of(table)]


def is_table(path: str) -> bool:
    """Tells whether this is a table of a fleet: a Parquet file, or the parts of one to be."""
    if path == "-" or is_address(path):
        return False
    try:
        if folder_of(path).is_dir():
            return True
        if not Path(path).is_file():
            # What comes once through a pipe is for the reader of images.
            return False
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class PartsWriter:
    """Takes rows and writes them in parts; nothing of a part is seen before it is whole.

    `written` are the paths of those parts.
    """

    def __init__(self, table: str, settings: str) -> None:
        self.written: set[str] = set()
        self._folder = folder_of(table)
        self._schema = schema(settings)
        self._rows: list[Row] = []
        self._since = 0.0
        self._number = 1 + max((int(part.stem) for part in parts_of(table)), default=0)

    def add(self, rows: Iterable[Row]) -> None:
        """Takes rows in; a full part is written, and what has waited for `PATIENCE` seconds."""
        if not self._rows:
            self._since = time.monotonic()
        self._rows += rows
        while len(self._rows) >= ROWS:
            self._write(self._rows[:ROWS])
            del self._rows[:ROWS]
        if time.monotonic() - self._since >= PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Writes what was taken in and is no full part."""
        if self._rows:
            self._write(self._rows)
            self._rows = []

    def _write(self, rows: list[Row]) -> None:
        table = table_of(rows, self._schema)
        path = str(self._folder / f"{self._number:08}.parquet")
        write_table(path, self._schema, [table])
        self.written.add(path)
        self._number += 1


def table_of(rows: Sequence[Row], form: pyarrow.Schema) -> pyarrow.Table:
    """Returns rows as a table; what is no Unicode in their texts comes out escaped."""
    import pyarrow as pa

    try:
        return pa.Table.from_pylist(rows, form)
    except UnicodeEncodeError:
        return pa.Table.from_pylist([_escaped(row) for row in rows], form)


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    return [_escaped(each) for each in value] if isinstance(value, list) else value


def write_table(path: str, form: pyarrow.Schema, tables: Iterable[pyarrow.Table]) -> int:
    """Writes a Parquet file, whole or not at all; returns how many rows it has.

    Raises SourceError where it cannot be written.
    """
    import pyarrow.parquet as pq

    rows = 0
    try:
        with (
            AtomicFile(path) as fd,
            os.fdopen(os.dup(fd), "wb") as file,
            pq.ParquetWriter(file, form, compression="zstd") as writer,
        ):
            for table in tables:
                writer.write_table(table)
                rows += table.num_rows
    except OSError as error:
        raise SourceError(str(error.strerror or error)).about(path) from error
    return rows


def settings_of(path: str) -> str:
    """Returns what the scan that wrote a table was asked."""
    import pyarrow.parquet as pq

    with opened(path) as file:
        metadata = pq.read_schema(file).metadata or {}
    return bytes(metadata.get(SETTINGS_KEY, b"")).decode("utf-8", "replace")


def done(table: str, settings: str) -> dict[str, Key]:
    """Returns what a table and its parts have of images that were looked at with these settings."""
    by_name: dict[str, Key] = {}
    columns = ["address", *_KEY]
    for path in _usable(table, settings):
        with _reading(path):
            table_size([path], columns)
            for batch in _batches(path, columns):
                keys = zip(*(batch.column(name).to_pylist() for name in _KEY), strict=True)
                by_name.update(zip(batch.column("address").to_pylist(), keys, strict=True))
    return by_name


def merge(
    table: str, settings: str, wanted: Mapping[str, Key], written: Container[str] = ()
) -> int:
    """Makes one file of a table and its parts; only rows of `wanted` images stay. Return how many.

    The parts go when the file is in its place. Those that this scan has `written` are not measured.
    """
    rows = write_table(table, schema(settings), _wanted(table, settings, wanted, written))
    for part in parts_of(table):
        part.unlink()
    return rows


def _wanted(
    table: str, settings: str, wanted: Mapping[str, Key], written: Container[str]
) -> Iterator[pyarrow.Table]:
    seen: set[str] = set()
    form = schema(settings)
    for path in reversed(_usable(table, settings)):
        with _reading(path):
            if path not in written:
                table_size([path])
            for batch in _batches(path, None):
                names = ("address", *_KEY)
                values = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
                rows = []
                for row, (address, *key) in enumerate(values):
                    if address not in seen and wanted.get(address) == tuple(key):
                        seen.add(address)
                        rows.append(row)
                if rows:
                    yield _rows_of(batch, rows, form)


def _rows_of(batch: pyarrow.RecordBatch, rows: list[int], form: pyarrow.Schema) -> pyarrow.Table:
    """Returns some rows of a batch in a form, the batch itself where that is all there is to do.

    To take or to cast imports pyarrow.compute, a tenth of a second with what it defines.
    """
    import pyarrow as pa

    if len(rows) < batch.num_rows:
        batch = batch.take(pa.array(rows))
    table = pa.Table.from_batches([batch])
    return table if table.schema.equals(form) else table.cast(form)


def _usable(table: str, settings: str) -> list[str]:
    """Returns the files made with these settings: the table, then its parts."""
    usable: list[str] = []
    for path in files_of(table):
        with _reading(path):
            if settings_of(path) == settings:
                usable.append(path)
    return usable


def _batches(path: str, columns: list[str] | None) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow.parquet as pq

    with opened(path) as file:
        yield from pq.ParquetFile(file).iter_batches(ROWS, columns=columns)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Makes one error of all that a damaged file leads to."""
    try:
        yield
    except SourceError as error:
        raise _damaged(str(error)) from error
    except faults() as error:
        raise _damaged(f"{path}: {first_line(error)}") from error


def _damaged(what: str) -> SourceError:
    return SourceError(f"{what}; without this file a scan looks at its images again")
