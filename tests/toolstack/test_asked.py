"""Thousands of edited images that real Xens of three releases were asked to restore.

`asked.jsonl.zst` has a line a case: the base in bases/, the edits as make.py takes them, the
release, the host if it is a weaker one, and the answer. `via` says who restored: `xl`, or libxc's
xc_domain_restore() alone, into a domain that was made as libxl makes it. The bases are images of
real guests that were thinned to a few pages: of a PV guest, page tables without entries are left.
What agrees is whether the guest was restored.
"""

import json
from collections import Counter
from functools import cache

import pytest

from tests.toolstack.corpus import DATA, asked, rebuilt, thin
from xensave.errors import XensaveError
from xensave.image import open_image
from xensave.image.input import JudgedInput
from xensave.policy.hostfile import read_host
from xensave.toolstack.judge import Judge

# Debian's packages of each release say these of themselves; the last is beyond its point release.
POINTS = {"4.14": "4.14.6", "4.17": "4.17.7", "4.20": "4.20.4"}
HOSTS = {"4.14": "strong-414.txt", "4.17": "strong.txt", "4.20": "strong-420.txt"}
QUICK = 23
"""Of so many cases one is asked in the quick tests."""


@cache
def judge(xen, host):
    path = DATA / (f"{host}.txt" if host else HOSTS[xen])
    return Judge([POINTS[xen]], host=read_host(str(path)), name_needs=False)


def accepted_by_check(case):
    """Return True or False as the verdict says, None where it depends."""
    data = rebuilt(thin(case["base"]), case["edits"])
    with open_image(data) as image:
        try:
            given = JudgedInput("case", None, None, image)
            found = judge(case["xen"], case.get("host"))
            return found.judge(given, POINTS[case["xen"]]).accepted
        except XensaveError:
            return False


def hold(chosen, capsys):
    """Ask `check` of some cases, print the counts and fail for an answer that is not Xen's."""
    counts, wrong = Counter(), []
    for case in chosen:
        found = accepted_by_check(case)
        counts[
            "depend" if found is None else "agree" if found == case["restored"] else "do not"
        ] += 1
        if found not in (None, case["restored"]):
            wrong.append((case["xen"], case["name"], case.get("message")))
    with capsys.disabled():
        print(f" {len(chosen)} answers: {dict(counts)} ", end="")
    assert not wrong
    assert counts["depend"] <= len(chosen) // 20


@pytest.mark.parametrize("xen", POINTS)
def test_some_of_each_release(xen, capsys):
    hold([case for case in asked() if case["xen"] == xen][::QUICK], capsys)


@pytest.mark.slow
@pytest.mark.parametrize("xen", POINTS)
def test_every_answer(xen, capsys):
    hold([case for case in asked() if case["xen"] == xen], capsys)


def test_releases_differ():
    """The same edits of the same images, answered otherwise by another release."""
    answers = {}
    for case in asked():
        key = (case["base"].partition("-")[2], json.dumps(case["edits"]), case["via"])
        answers.setdefault(key, {})[case["xen"]] = case["restored"]
    differ = [found for found in answers.values() if len(set(found.values())) > 1]
    assert len(asked()) > 8000
    assert len(differ) > 20
