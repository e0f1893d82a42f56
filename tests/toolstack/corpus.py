"""Edited images as tests/data/restores/make.py builds them, from the edits that a case lists."""

import importlib.util
import io
import json
import sys
from functools import cache
from pathlib import Path

import zstandard

from xensave.source import open_source, read_all

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "restores"
IMAGES = ROOT.parent / "shared" / "data" / "images"


def _make():
    spec = importlib.util.spec_from_file_location("restores_make", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    # It runs as a script too, and finds its neighbour beside it.
    sys.path.insert(0, str(DATA))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DATA))
    return module


make = _make()


@cache
def asked():
    """Return the cases of asked.jsonl.zst, each with a real Xen's answer."""
    with zstandard.open(DATA / "asked.jsonl.zst", "rt") as file:
        return [json.loads(line) for line in file]


@cache
def base(name):
    """Return a sample image, decompressed; None where it is not there."""
    path = ROOT / "examples" / "hvm1.img.zst"
    if name != "xen417-hvm1":
        path = IMAGES / f"{name}.img.zst"
    if not path.exists():
        return None
    with open_source(str(path)) as source:
        return read_all(source)


@cache
def thin(name):
    """Return a base of theirs: a real guest's image with a few of its pages."""
    with open_source(str(DATA / "bases" / f"{name}.img.zst")) as source:
        return read_all(source)


def rebuilt(base, edits):
    """Return an image's bytes after the edits."""
    image = make.Image(base)
    for edit in edits:
        make.EDITS[edit["op"]](image, edit)
    out = io.BytesIO()
    image.write(out)
    return out.getvalue() if image.cut is None else out.getvalue()[: image.cut]
