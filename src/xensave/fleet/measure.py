"""The process that unfolds a table piece by piece: it holds a piece at once, below a limit."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xensave.fleet.parts import ROWS, faults, first_line, opened

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import FileMetaData

MEMORY = 1 << 30
"""Bytes of memory of this process."""

VALUE_BYTES = 16
"""What a value counts for beside its text, an empty one too."""


class _Beyond(Exception):
    """A table is longer than a scan's."""


def main() -> None:
    """Answers jobs: a line of JSON each, and a line for it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    for line in sys.stdin.buffer:
        paths, columns, limit = json.loads(line)
        sys.stdout.write(json.dumps(_answer(paths, columns, limit)) + "\n")
        sys.stdout.flush()


def _answer(paths: list[str], columns: list[str], limit: int) -> list[str | int]:
    """Returns the bytes of tables and of their longest text, or which is none and why."""
    total = longest = number = 0
    try:
        while number < len(paths):
            for length, most in _pieces(paths[number], columns, total, limit):
                total, longest = total + length, max(longest, most)
                _check_length(total, limit)
            number += 1
    except _Beyond as error:
        return ["limit", number, str(error)]
    except MemoryError:
        return ["limit", number, "takes more memory than a table of a fleet"]
    except UnicodeDecodeError as error:
        return ["damaged", number, f"holds a text that is no UTF-8: {error}"]
    except faults() as error:
        return ["damaged", number, first_line(error)]
    return ["sizes", total, longest]


def _check_length(unfolded: int, limit: int) -> None:
    if unfolded > limit:
        raise _Beyond(f"unfolds beyond {limit:,} bytes, which no table of a scan does")


def _pieces(path: str, columns: list[str], before: int, limit: int) -> Iterator[tuple[int, int]]:
    """Yields the bytes of some rows at a time, and of the longest text among them."""
    import pyarrow.parquet as pq

    with opened(path) as file:
        table = pq.ParquetFile(file, pre_buffer=False)
        _check_length(before + _claimed(table.metadata, Path(path).stat().st_size), limit)
        for batch in table.iter_batches(ROWS, columns=columns or None, use_threads=False):
            sizes = [_size(column) for column in batch.columns]
            yield sum(size for size, _ in sizes), max((most for _, most in sizes), default=0)


def _claimed(footer: FileMetaData, size: int) -> int:
    """Returns the bytes that a footer itself claims: what is too long need not be unfolded.

    Refuses more rows than bytes: an image's row takes more than one, its address alone does.
    """
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    if sum(group.num_rows for group in groups) > size or footer.num_rows > size:
        raise _Beyond("is no table of a fleet: more rows than bytes")
    schema = footer.schema
    widths = [VALUE_BYTES + max(schema.column(at).length, 0) for at in range(len(schema))]
    return sum(
        max(
            group.total_byte_size,
            sum(group.column(at).num_values * width for at, width in enumerate(widths)),
        )
        for group in groups
    )


def _size(array: pyarrow.Array) -> tuple[int, int]:
    """Returns the bytes of an array's values, each as often as it stands, and of the longest."""
    import pyarrow as pa

    if isinstance(array, pa.ExtensionArray):
        return _size(array.storage)
    if isinstance(array, pa.StructArray):
        parts = [_size(array.field(at)) for at in range(array.type.num_fields)]
    elif isinstance(array, pa.MapArray):
        parts = [_size(array.keys), _size(array.items)]
    elif pa.types.is_nested(array.type):
        parts = [_size(array.flatten())]
    elif isinstance(array, pa.DictionaryArray):
        lengths = _lengths(array.dictionary)
        often = np.bincount(array.indices.drop_null().to_numpy(), minlength=len(lengths))
        parts = [(int(lengths @ often), int(lengths.max(initial=0)))]
    else:
        lengths = _lengths(array)
        parts = [(int(lengths.sum()), int(lengths.max(initial=0)))]
    total = VALUE_BYTES * len(array) + sum(size for size, _ in parts)
    return total, max((most for _, most in parts), default=0)


def _lengths(array: pyarrow.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Returns the bytes of each value's text; of numbers nothing, they count as values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    kind = array.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        array = array.cast(pa.large_binary())
    elif types.is_fixed_size_binary(kind):
        return np.full(len(array), kind.byte_width, np.int64)
    elif not any(
        is_text(kind)
        for is_text in (
            types.is_string,
            types.is_binary,
            types.is_large_string,
            types.is_large_binary,
        )
    ):
        return np.zeros(len(array), np.int64)
    lengths = pc.binary_length(array).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)
