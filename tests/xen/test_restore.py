"""A real Xen 4.17 restores what it shall, refuses what it shall, and the guests go on counting."""

import errno
import json
import re
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.xen.edited_cases import EDITED, Edited
from tests.xen.restore_cases import CASES, PV_CASE, TARGET, Case, Refusal

# Xen's own words for where a context is refused: an entry that its handler refused (type and
# instance), or a number that it has no handler for.
REFUSED = re.compile(r"failed to load entry (\d+)/\d+ rc -(\d+)|unknown entry typecode (\d+)")
# A record that reached its handler.
LOADED = re.compile(r"HVM\d+ restore: ([A-Z_]+ \d+)$")
# What libxc says of a domctl that failed.
RESTORE_FAILED = re.compile(r"Restore failed \((\d+) = ")
COUNTER = re.compile(rb"COUNT cpu0/0 (\d+) mono")
RESTORED = [case for case in CASES if case.refusal is None]
REFUSALS = [case for case in CASES if case.refusal is not None]


def of_case(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name.replace(" ", "-"))


def answer_to(asked, case: Case | Edited):
    assert case.name not in asked.failures, asked.failures[case.name]
    session = asked.session
    assert case.name in session.answers, f"no answer; the console ends:\n{session.last_words()}"
    return session.answers[case.name]


@of_case(RESTORED)
def test_restored_and_goes_on_counting(asked, case):
    answer = answer_to(asked, case)
    assert answer["restored"], "\n".join(answer["log"] + answer["xen"])
    assert not any("Linux version" in line for line in answer["guest"]), "it booted anew"
    # The last number printed before the save still stands in the guest's memory.
    memory = asked.images[case.name].read_bytes()
    before = max((int(number) for number in COUNTER.findall(memory)), default=-1)
    counters = answer["counters"]
    assert len(counters) >= 4, answer["guest"]
    assert counters[0] == before + 1
    assert all(later == earlier + 1 for earlier, later in pairwise(counters))
    assert answer["left"] == 1


@of_case(REFUSALS)
def test_refused(asked, case):
    answer = answer_to(asked, case)
    assert not answer["restored"]
    assert refusal_in(answer) == case.refusal
    assert answer["left"] == 0
    assert not answer["counters"]


@of_case(CASES)
def test_check_said_so_before(asked, case):
    """`xensave check` foresees the answer, the errno, the record, and what was loaded."""
    answer = answer_to(asked, case)
    said = check(asked.images[case.name])
    assert said["accepted"] == answer["restored"]
    loaded = [m[1] for m in map(LOADED.search, answer["xen"]) if m]
    # A PV guest has no HVM context, and so nothing to load.
    assert (said["loaded"], said["last"]) == (len(loaded), loaded[-1] if loaded else None)
    if case.refusal is not None:
        named = Refusal(getattr(errno, said["errno"]), said["typecode"])
        assert named == refusal_in(answer)


@of_case(EDITED)
def test_edited_as_it_was_answered_before(asked, case):
    """A real Xen says of an edited image what it said before, and `xensave check` foresees it."""
    answer = answer_to(asked, case)
    assert answer["restored"] is case.restored, "\n".join(answer["log"] + answer["xen"])
    assert check(asked.images[case.name])["accepted"] is case.restored


def refusal_in(answer) -> Refusal:
    """Return the one errno that libxc reports, and the one record that Xen names."""
    (failed,) = [int(m[1]) for m in map(RESTORE_FAILED.search, answer["log"]) if m]
    (named,) = [int(m[1] or m[3]) for m in map(REFUSED.search, answer["xen"]) if m]
    return Refusal(failed, named)


def check(image):
    command = [sys.executable, "-m", "xensave", "check", image, "--target", TARGET, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    said = json.loads(done.stdout)
    assert done.returncode == (0 if said["accepted"] else 1)
    return said


@pytest.fixture(scope="module")
def live(asked):
    """What Xen's tool and xensave said of a guest while it ran."""
    return answer_to(asked, CASES[0])["live"]


@pytest.fixture(scope="module")
def memory(asked):
    """What became of that guest while xensave took its memory, and what it took."""
    return answer_to(asked, CASES[0])["memory"]


@pytest.fixture(scope="module")
def pv_memory(asked):
    """How the memory of the legacy stream's PV guest compares with its save."""
    return answer_to(asked, PV_CASE)["pv_memory"]


def test_a_running_guest_as_xen_hvmctx_prints_it(live):
    theirs, again = (live[name].splitlines() for name in ("xen-hvmctx", "xen-hvmctx again"))
    ours = live["by id"].splitlines()
    assert len(ours) == len(theirs) > 100, live["by id"][-500:]
    # A paused guest's TSC, PM timer and pending interrupts move all the same.
    steady = [at for at in range(len(theirs)) if theirs[at] == again[at]]
    assert len(theirs) - len(steady) <= 3
    assert [ours[at] for at in steady] == [theirs[at] for at in steady]


def test_a_running_guest_by_its_name(live):
    said = json.loads(live["by name"])
    assert said["type"] == "pvh"
    assert said["xen"] == TARGET
    assert {count["name"] for count in said["records"]} >= {"X86_CPUID_POLICY", "HVM_CONTEXT"}
    assert said["tsc"]["khz"] > 0


def test_what_cannot_be_asked_is_said_in_a_line(live):
    assert live["absent"].splitlines() == ["xensave show: domain:31000: there is no domain 31000"]
    (line,) = live["dom0"].splitlines()
    assert line == "xensave show: domain:0: domain 0 is a PV guest: it has no HVM context"


def test_a_kill_in_the_pause_resumes_the_guest(memory):
    assert "p" in memory["state in the pause"]
    assert memory["exit"] == -signal.SIGKILL
    assert "p" not in memory["state after the kill"]
    assert memory["counted on"] >= 2
    assert memory["files after"] == memory["files before"]


def test_the_memory_of_a_paused_guest_is_that_of_its_image(memory):
    is_that_of_its_image(memory)
    # Where the guest mapped its shared info page and its grant table, which no image holds.
    assert len(memory["only taken"]) <= 2


def test_the_memory_of_a_paused_pv_guest_is_that_of_its_image(pv_memory):
    """Its page tables too, which Xen has by machine frames."""
    is_that_of_its_image(pv_memory)
    assert not pv_memory["only taken"]


def is_that_of_its_image(memory):
    assert [memory[name][0] for name in ("save", "saved.raw", "taken.raw")] == [0, 0, 0], memory
    assert "p" in memory["state after"], "it was paused before, and stays so"
    assert memory["mode"] == 0o600
    assert memory["equal"] > 1000
    assert (memory["different"], memory["only saved"]) == ([], [])
