"""A series asks every point release, and the worst answer counts."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import zstandard

import xensave
from xensave.catalogue import release_names
from xensave.catalogue.points import asked_for, points_of
from xensave.cli import main
from xensave.errors import UsageError
from xensave.image import open_image
from xensave.image.input import JudgedInput
from xensave.toolstack.judge import Judge
from xensave.toolstack.releases.series import PV_RESTORERS, RESTORERS, dates_of, representatives

ROOT = Path(xensave.__file__).parent
EXAMPLE = Path(__file__).parents[2] / "examples" / "hvm1.img.zst"
# Rooms whose rows judge a restore; a date in them may tell two point releases apart.
ROOMS = ("engine/handlers", "engine/loop", "engine/pv", "policy", "rules/stream", "toolstack")
DATE = re.compile(r'"(\d+\.\d+\.\d+)"')


def ask(target, data=None):
    with open_image(data or str(EXAMPLE)) as image:
        return Judge([target]).ask(JudgedInput("case", None, None, image), target)


def test_every_date_in_the_rooms_is_one_that_a_series_is_split_at():
    known = {date for name in (*RESTORERS, *PV_RESTORERS) for date in dates_of(import_module(name))}
    for room in ROOMS:
        for path in ROOT.joinpath(room).rglob("*.py"):
            code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.S)
            dates = {date for date in DATE.findall(code) if not date.endswith(".0")}
            assert dates <= known, path


def test_a_series_is_every_point_release_of_it():
    found = ask("4.15")
    assert [(answer.span, answer.verdict.accepted) for answer in found.answers] == [
        ("4.15.0 - 4.15.2", False),
        ("4.15.3 - 4.15.7", True),
    ]
    assert found.worst.errno == "ERANGE"
    assert "0x8000001d" in found.worst.reason


@pytest.mark.parametrize("series", ["4.14", "4.16", "4.18", "4.20"])
def test_the_groups_answer_as_each_point_release_alone(series):
    together = {
        point: answer.verdict.accepted for answer in ask(series).answers for point in answer.points
    }
    assert together == {point: ask(point).worst.accepted for point in points_of(series)}


def test_a_release_that_there_is_not_is_a_usage_error(capsys):
    for name in ("4.20.9", "4.17.99", "4.17.7-pre", "4.19.0-rc1"):
        with pytest.raises(UsageError, match="there are"):
            asked_for(name)
        assert main(["check", str(EXAMPLE), "-t", name]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_every_series_has_its_point_releases():
    assert all(points_of(name) for name in release_names())
    assert all(len(representatives(name)) <= len(points_of(name)) for name in release_names())


def test_the_answer_lists_ranges_in_text_and_json(capsys):
    assert main(["check", str(EXAMPLE), "-t", "4.15"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "refused by 4.15.0 - 4.15.2 (libxc X86_CPUID_POLICY: ERANGE:" in text
    assert "restores on 4.15.3 - 4.15.7" in text
    assert main(["check", str(EXAMPLE), "-t", "4.15", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["accepted"] is False
    assert [part["releases"][0] for part in found["points"]] == ["4.15.0", "4.15.3"]
    assert main(["check", str(EXAMPLE), "-t", "4.15.3"]) == 0


def test_what_ends_before_its_first_header_does_is_refused():
    whole = zstandard.ZstdDecompressor().stream_reader(EXAMPLE.read_bytes()).read(40)
    assert ask("4.17", whole).worst.accepted is False
