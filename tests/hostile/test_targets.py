"""Every command that reads what others wrote is a target of fuzzing; mass mutation misses none."""

import json
import os

import pytest

from fuzz import million
from fuzz.kinds import seeds_of
from fuzz.log import Log
from fuzz.million import DIED, case_of, tallies
from fuzz.summary import summary
from fuzz.targets import TARGETS, Target, run
from xensave.cli import COMMANDS

NOTHING_FOREIGN = {"catalogue", "compare", "matrix", "volatility-path", "completion"}
"""Commands that read their own catalogue, and what git itself reads."""


def test_every_command_that_reads_is_a_target():
    reading = {command for target in TARGETS.values() for command in target.commands}
    assert reading <= set(COMMANDS)
    assert set(COMMANDS) - reading == NOTHING_FOREIGN & set(COMMANDS)


def test_every_target_has_seeds():
    for name, target in TARGETS.items():
        assert all(isinstance(data, bytes) for data in seeds_of(target.kind).values()), name
        assert seeds_of(target.kind), name


def test_the_numbers_of_a_run_reach_every_target():
    names = tuple(TARGETS)
    drawn = [case_of(1, number, names).target for number in range(40 * len(names))]
    assert set(drawn) == set(names)
    assert min(map(drawn.count, names)) >= 10


def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(million, "BATCH", 5)
    names, log = ("waivers", "metadata"), tmp_path / "log.json"
    parts = list(tallies(1, range(20), names, 1))
    assert [part.inputs for part in parts] == [5, 5, 5, 5]
    half = million._add(parts[0], parts[1])
    Log(1, 0, names).write(log, half, 3.0)
    monkeypatch.setattr(
        "sys.argv",
        ["million", "--count", "20", "--jobs", "1", "--resume", "--log", str(log)]
        + [word for name in names for word in ("--target", name)],
    )
    assert million.main() == 0
    whole = million._add(million._add(half, parts[2]), parts[3])
    written = json.loads(log.read_text())
    assert written["inputs"] == 20
    assert {name: part["taken"] for name, part in written["targets"].items()} == {
        name: whole.taken[name] for name in names
    }
    assert "Inputs 0 to 19" in summary(log)
    with pytest.raises(ValueError, match="other inputs"):
        Log(2, 0, names).read(log)


def test_an_input_that_ends_its_process_is_found(monkeypatch):
    last = case_of(1, 7, ("waivers",)).data

    def deadly(data):
        if data == last:
            os._exit(9)

    monkeypatch.setitem(TARGETS, "waivers", Target(deadly, ("review",), "waivers"))
    monkeypatch.setattr(million, "BATCH", 5)
    parts = list(tallies(1, range(12), ("waivers",), 2))
    assert sum(part.inputs for part in parts) == 12
    failures = [failure for part in parts for failure in part.failures]
    assert [(failure.number, failure.what) for failure in failures] == [(7, DIED)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds(name):
    target = TARGETS[name]
    taken = [run(target, data) for data in list(seeds_of(target.kind).values())[::5]]
    assert taken
