"""Where a target puts what is only read from files."""

from __future__ import annotations

import os
import tempfile
from functools import cache


def folder() -> str:
    """Return a folder that goes with the process; in memory, where that can be."""
    return _folder().name


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
