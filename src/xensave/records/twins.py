"""Integers of 64 bits in hexadecimal: readers of JSON such as jq and JavaScript keep 53 bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

EXACT = (1 << 53) - 1
"""The largest integer that such a reader keeps, and up to which every one is kept."""


def hex64(value: int) -> str:
    """Returns an integer of 64 bits as its bits in hexadecimal.

    >>> hex64(-1), hex64(16)
    ('0xffffffffffffffff', '0x0000000000000010')
    """
    return f"{value & 0xFFFFFFFFFFFFFFFF:#018x}"


def wide_integers(value: object) -> dict[str, str]:
    """Returns the integers in an object that a reader of JSON may round, by their path.

    >>> wide_integers({"rip": 1 << 63, "msrs": [{"value": 1 << 60}, {"value": 5}]})
    {'rip': '0x8000000000000000', 'msrs[0].value': '0x1000000000000000'}
    """
    return {path: hex64(number) for path, number in _wide(value, "")}


def _wide(value: object, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, int):
        if abs(value) > EXACT:
            yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            # Most are small numbers and texts: no path is made for them.
            if not _plain(item):
                yield from _wide(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for index, item in enumerate(value):
            if not _plain(item):
                yield from _wide(item, f"{path}[{index}]")


def _plain(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) <= EXACT
    return isinstance(value, (str, bytes))
