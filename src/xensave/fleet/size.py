"""How long a fleet's table becomes in memory: known before it is read there.

A Parquet file keeps a text that many rows share once, and nothing of a row without values; what its
footer says may be a lie. So it is unfolded piece by piece, in a process of its own whose memory has
a limit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xensave.child import Child, ChildEnded
from xensave.errors import SourceError
from xensave.source.limits import EXPANSION_FLOOR

UNFOLDED_RATIO = 256
"""Beyond EXPANSION_FLOOR a table may become this many times as long as its files."""

_CHILD = Child(
    "the process that measures tables",
    "from xensave.fleet.measure import main; main()",
    ARROW_DEFAULT_MEMORY_POOL="system",
)


class TableSize(NamedTuple):
    """How long tables become, their longest text, and how long they may become; in bytes."""

    unfolded: int
    longest: int
    limit: int


def table_size(paths: Sequence[str], columns: Sequence[str] = ()) -> TableSize:
    """Returns how long these columns of Parquet files become together; of all if none are named.

    Raises SourceError where that is beyond what a scan writes, ValueError for a damaged file.
    """
    if not paths:
        return TableSize(0, 0, EXPANSION_FLOOR)
    limit = max(EXPANSION_FLOOR, UNFOLDED_RATIO * sum(Path(path).stat().st_size for path in paths))
    job = [[os.path.abspath(path) for path in paths], list(columns), limit]  # noqa: PTH100
    try:
        answer: list[str | int] = json.loads(_CHILD.ask(json.dumps(job)))
    except ChildEnded as ended:
        raise SourceError(f"{paths[0]}: takes more memory than a table of a fleet") from ended
    kind, *rest = answer
    if kind == "sizes":
        return TableSize(int(rest[0]), int(rest[1]), limit)
    name, text = paths[int(rest[0])], str(rest[1])
    raise SourceError(text).about(name) if kind == "limit" else ValueError(text)
