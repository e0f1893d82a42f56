"""Edited images as tests/data/restores/make.py builds them, from the edits that a case lists."""

import importlib.util
import io
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "restores"


def _make():
    spec = importlib.util.spec_from_file_location("restores_make", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _make()


def rebuilt(base, edits):
    """Return an image's bytes after the edits."""
    image = make.Image(base)
    for edit in edits:
        make.EDITS[edit["op"]](image, edit)
    out = io.BytesIO()
    image.write(out)
    return out.getvalue() if image.cut is None else out.getvalue()[: image.cut]
