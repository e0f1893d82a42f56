"""A configuration is looked at once, whatever asks for it."""

import json

from tests.hostile.operations.work import judge_all, operations
from xensave.engine import Accepted, Depends
from xensave.testing import streams
from xensave.toolstack.libxl import config
from xensave.toolstack.libxl.config import first_unusable, reach, unusable


def disks(count):
    """An image whose configuration has disks of which it says nothing."""
    image = streams.hvm_image(vcpus=1, pages=1)
    stream = image[image.index(b"LibxlFmt") :]
    values = {
        "c_info": {"type": "hvm", "name": "guest"},
        "b_info": {"max_vcpus": 1, "max_memkb": 1 << 20, "target_memkb": 1 << 20, "type.hvm": {}},
        "disks": [{}] * count,
    }
    return streams.xl_image(stream, json.dumps(values).encode() + b"\0")


def test_a_configuration_is_looked_at_once_for_releases_that_read_it_alike():
    def judge_anew(data):
        config._answers.cache_clear()
        return judge_all(data)

    assert isinstance(judge_anew(disks(3)), Accepted | Depends)
    few, many = (operations(judge_anew, disks(count)) for count in (100, 1100))
    # Three answers: of 4.17.0, 4.17.2 and 4.17.3.
    assert (many - few) / 1000 < 30


def test_releases_that_read_a_configuration_otherwise_have_their_own_answer():
    values = {"b_info": {"cpuid": {"cpuid": []}, "type.hvm": {"vga.kind": "none"}}}
    for _ in range(2):
        for release in ("4.17.1", "4.17.2", "4.2", "4.17.3", "4.17.2"):
            wrong = unusable(values, release)
            first = min(wrong, key=lambda each: reach(each.path), default=None)
            assert first_unusable(values, release) == first
    assert first_unusable(values, "4.17.1") != first_unusable(values, "4.17.2")
