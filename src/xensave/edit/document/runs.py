"""The frames that a PAGE_DATA record lists, as runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from xensave.container.streams.libxc import PFN_MASK, TYPE_SHIFT
from xensave.container.streams.libxc_records import PAGE_TYPES
from xensave.edit.document.members import Json, Members
from xensave.errors import Malformed

_NUMBERS = {name: number for number, name in PAGE_TYPES.items()}
_RESERVED = 52
_LIMIT = 1 << 24


def runs_json(entries: bytes) -> list[Json]:
    """Returns entries of 64 bits as runs: `pfn`, `count`, `type` and, if not zero, `reserved`.

    >>> runs_json(b"".join(n.to_bytes(8, "little") for n in (5, 6, 0xF << 60 | 7)))
    [{'pfn': 5, 'count': 2, 'type': 'NOTAB'}, {'pfn': 7, 'count': 1, 'type': 'XTAB'}]
    """
    words = np.frombuffer(entries, "<u8")
    result: list[Json] = []
    breaks = [0, *(np.flatnonzero(np.diff(words) != 1) + 1).tolist(), len(words)]
    for start, stop in pairwise(breaks):
        if start == stop:
            continue
        word = int(words[start])
        number = word >> TYPE_SHIFT
        run: dict[str, Json] = {
            "pfn": word & PFN_MASK,
            "count": stop - start,
            "type": PAGE_TYPES.get(number, number),
        }
        if word >> _RESERVED & 0xFF:
            run["reserved"] = word >> _RESERVED & 0xFF
        result.append(run)
    return result


def runs_bytes(runs: list[Members]) -> bytes:
    """Returns the entries again. Raises Malformed, naming the run."""
    parts: list[bytes] = []
    for run in runs:
        kind = run.get("type")
        number = _NUMBERS.get(kind) if isinstance(kind, str) else run.number("type")
        if number is None or not 0 <= number < 16:
            raise Malformed(f"{kind!r} is no page type", path=run.place)
        count, reserved = run.number("count"), run.number("reserved", 0)
        if not 0 < count <= _LIMIT or not 0 <= reserved < 256:
            raise Malformed("a count or reserved bits out of range", path=run.place)
        pfn = run.number("pfn")
        if not 0 <= pfn <= PFN_MASK:
            raise Malformed("a frame number beyond 52 bits", path=run.place)
        first = number << TYPE_SHIFT | reserved << _RESERVED | pfn
        # A run may go past the frame number's width: what was counted up is counted up again.
        words = np.uint64(first) + np.arange(count, dtype=np.uint64)
        parts.append(words.astype("<u8").tobytes())
    return b"".join(parts)
