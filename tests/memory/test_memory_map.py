"""The ranges of a map, held to what the index says of each frame."""

import json
import random

import pytest

from tests.memory.samples import image, page, record
from xensave.cli import main
from xensave.image.memory import memory_map as maps
from xensave.image.memory.special_pages import SpecialPages
from xensave.testing import streams
from xensave.views.guest import memory_map as view

TYPES = {0: "NOTAB", 1: "L1TAB", 0xD: "BROKEN", 0xF: "XTAB"}
SPECIAL = (SpecialPages("a ring", 7), SpecialPages("a hole", 20, 9), SpecialPages("both", 25, 30))


def records(seed):
    chance = random.Random(seed)
    frames = sorted(chance.sample(range(64), 40))
    kinds = [chance.choice((0, 0, 0, 1, 0xD, 0xF, 0xF)) for _ in frames]
    return record(*((pfn, kind, page(pfn)) for pfn, kind in zip(frames, kinds, strict=True)))


def by_frames(index):
    """Ranges frame by frame: first, frames, whether with contents, types, name."""
    edges = {each.pfn for each in SPECIAL} | {each.pfn + each.frames for each in SPECIAL}
    ranges = []
    for pfn in range(64):
        kind = index.type_of(pfn)
        if kind is None:
            continue
        data = index.offset_of(pfn) is not None
        last = ranges[-1] if ranges else None
        if not last or last[0] + last[1] != pfn or last[2] != data or pfn in edges:
            names = [s.name for s in SPECIAL if s.pfn <= pfn < s.pfn + s.frames]
            ranges.append(last := [pfn, 0, data, {}, ", ".join(names)])
        last[1] += 1
        last[3][TYPES[kind]] = last[3].get(TYPES[kind], 0) + 1
    return [tuple(each) for each in ranges]


@pytest.mark.parametrize("seed", range(12))
def test_ranges_are_those_of_the_frames(seed, monkeypatch):
    monkeypatch.setattr(maps, "special_pages", lambda _: SPECIAL)
    guest = image(records(seed))
    found = maps.memory_map(guest, contents=False).ranges
    assert [tuple(each) for each in found] == by_frames(guest.memory.index)
    assert found[1:3] == [found[1], found[2]]
    assert found[-1] == list(found)[-1]
    with pytest.raises(IndexError):
        found[len(found)]


def test_an_image_without_memory_has_no_ranges(monkeypatch):
    monkeypatch.setattr(maps, "special_pages", lambda _: SPECIAL)
    assert list(maps.memory_map(image(), contents=False).ranges) == []


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "guest.img"
    body = record(*((pfn, page(1)) for pfn in range(0, 40, 2))) + streams.hvm_tail("4.17")
    path.write_bytes(streams.xl_image(streams.libxl_stream(streams.libxc_stream(body, "4.17"))))
    return str(path)


def test_of_many_ranges_text_has_the_first_and_json_all(saved, capsys, monkeypatch):
    monkeypatch.setattr(view, "ROWS_LIMIT", 8)
    assert main(["memory", saved]) == 0
    shown = capsys.readouterr().out
    assert "12 more ranges: --json has them all" in shown
    assert shown.count("NOTAB") == 1 + 8
    assert main(["memory", saved, "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert [each["start"] for each in fields["ranges"]] == [pfn << 12 for pfn in range(0, 40, 2)]
    assert [each["start"] for each in fields["map"]] == [pfn << 12 for pfn in range(0, 40, 2)]
