"""Edits and JSON for tests of others."""

from pathlib import Path

import pytest

from xensave.errors import UsageError
from xensave.testing.edits import decoded, edited, encoded
from xensave.testing.streams import hvm_image


def test_an_edit_that_no_release_takes():
    image = hvm_image("4.17", pages=2)
    new = edited(image, "CPU.cr4=0xffffffff")
    assert len(new) == len(image)
    assert sum(a != b for a, b in zip(image, new, strict=True)) <= 4
    with pytest.raises(UsageError):
        edited(image, "CPU.nope=1")


def test_json_and_back():
    image = hvm_image("4.17", pages=2)
    document = decoded(image)
    assert encoded(document, image) == image
    document["events"] = [e for e in document["events"] if e["name"] != "HVM_PARAMS"]
    assert len(encoded(document, image)) < len(image)


def test_a_bare_context():
    context = Path("examples/pvh1.ctx").read_bytes()
    assert encoded(decoded(context, release="4.17"), context) == context
