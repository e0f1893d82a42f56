"""Every case of the oracle: `check` answers as a real Xen 4.17.7 did to a damaged image.

Each case is built from a sample image by tests/data/restores/make.py. What agrees is whether the
guest was restored; an xl that dies of a signal did not restore. The HVM guest's cases are built
from examples/, the others where the larger samples are.
"""

import json
from collections import Counter
from functools import cache

import pytest

from tests.toolstack.corpus import DATA, base, rebuilt
from xensave.errors import XensaveError
from xensave.image import open_image
from xensave.image.input import JudgedInput
from xensave.policy.hostfile import read_host
from xensave.toolstack.judge import Judge

HOSTS = {"strong": "strong.txt", "weak": "weak.txt"}
RELEASE = "4.17.7"
CASES = [
    json.loads(line)
    for name in ("cases.jsonl", "weak.jsonl")
    for line in (DATA / name).read_text().splitlines()
]
CLASSES = sorted({case["cls"] for case in CASES})


def built(case):
    return rebuilt(base(case["base"]), case["edits"])


def answers(case):
    return {"strong": case["real"]} if "real" in case else case["hosts"]


@cache
def judge(host):
    return Judge([RELEASE], host=read_host(str(DATA / HOSTS[host])))


def restores(data, host):
    """Return True or False as the verdict says, None where it depends."""
    with open_image(data) as image:
        try:
            return judge(host).judge(JudgedInput("case", None, None, image), RELEASE).accepted
        except XensaveError:
            return False


@pytest.mark.parametrize("cls", CLASSES)
def test_it_answers_as_a_real_xen_did(cls, capsys):
    wrong, agree, depend, skipped = [], 0, 0, 0
    for case in (case for case in CASES if case["cls"] == cls):
        if base(case["base"]) is None:
            skipped += 1
            continue
        data = built(case)
        for host, real in answers(case).items():
            found = restores(data, host)
            depend += found is None
            agree += found == real["restored"]
            if found not in (None, real["restored"]):
                wrong.append((case["name"], host, real.get("message")))
    with capsys.disabled():
        note = f", {skipped} not built: no sample" if skipped else ""
        print(f" {cls}: {agree} agree, {depend} depend, {len(wrong)} do not{note} ", end="")
    assert not wrong
    if not agree and skipped:
        pytest.skip(f"no sample image for the {cls} cases")


def test_all_cases_are_asked():
    assert len(CASES) == 197
    assert Counter("real" in case for case in CASES) == {True: 175, False: 22}
