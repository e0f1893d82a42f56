"""The seeds of each kind of input."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fuzz.corpus import seeds
from fuzz.files import FILES
from fuzz.texts import texts


@cache
def seeds_of(kind: str) -> dict[str, bytes]:
    """Return the seeds of a kind: images, or what `files` or `texts` has."""
    if kind == "images":
        return seeds()
    return FILES[kind]() if kind in FILES else texts()[kind]


def write_seeds(folder: Path, kind: str) -> None:
    """Write each seed of a kind as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds_of(kind).values()):
        (folder / f"{number:03}").write_bytes(data)
