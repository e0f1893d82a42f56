"""JSON with bytes in it: they become hexadecimal as they are written, however many they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

_CHUNK = 1 << 16


def json_pieces(value: object, indent: int | None = None) -> Iterator[str]:
    """Yields the text of a value in pieces; `bytes` in it are text in hexadecimal.

    The whole of long bytes never lies in memory as text.

    >>> "".join(json_pieces({"body": b"ab", "of": [1, None]}))
    '{"body": "6162", "of": [1, null]}'
    """
    long: list[bytes] = []
    # What no value can have in it.
    mark = os.urandom(16).hex()

    def told(item: object) -> str:
        if not isinstance(item, bytes):
            raise TypeError(f"{type(item).__name__} is no JSON")
        if len(item) <= _CHUNK:
            return item.hex()
        long.append(item)
        return f"{mark}{len(long) - 1}."

    text = json.dumps(value, indent=indent, default=told)
    if not long:
        yield text
        return
    end = 0
    for match in re.finditer(rf"{mark}(\d+)\.", text):
        yield text[end : match.start()]
        item = long[int(match[1])]
        for at in range(0, len(item), _CHUNK):
            yield item[at : at + _CHUNK].hex()
        end = match.end()
    yield text[end:]
