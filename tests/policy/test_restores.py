"""Policies on a real Xen 4.17.7: which CPUID words a restored guest has that its image has not."""

from pathlib import Path

import pytest

from tests.restores import host_of, make_image, shared_cases
from xensave.image import open_image
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import restored
from xensave.policy.steps.clamp import Guest

SHARED = Path(__file__).parents[3] / "shared"
NONE = (0, 0, 0, 0)
OF_ANOTHER_RECORD = ("pvh-policy-cpuid-twice-first-bad",)
"""The oracle compares with the first of two records; Xen takes the last."""
LISTED = 40
"""The oracle lists no more words than these."""
XEN_LEAVES = (0x40000000, 0x40000100)


def cases():
    for path, case, host, real in shared_cases():
        if case["name"] in OF_ANOTHER_RECORD:
            continue
        if real["restored"] and real.get("policy_changed") is not None:
            yield pytest.param(path, case["name"], host, real, id=f"{host}-{case['name']}")


def changed(record, policy):
    """The words where a domain's policy differs from an image's record, as the oracle has them."""
    old = {(leaf, 0 if sub == 0xFFFFFFFF else sub): regs for leaf, sub, *regs in record}
    return {
        (leaf, sub, register): (before, after)
        for leaf, sub in old.keys() | policy.leaves.keys()
        if leaf not in XEN_LEAVES
        for register, before, after in zip(
            "abcd", old.get((leaf, sub), NONE), policy.leaf(leaf, sub), strict=True
        )
        if before != after
    }


def listed(rows):
    return {
        (int(leaf, 16), 0 if sub == "-" else int(sub, 16), register): (int(old, 16), int(new, 16))
        for leaf, sub, register, old, new in rows
        if int(leaf, 16) not in XEN_LEAVES
    }


@pytest.mark.slow
@pytest.mark.parametrize(("path", "name", "host", "recorded"), list(cases()))
def test_the_restored_guest_sees_these_words(path, name, host, recorded, tmp_path):
    image = tmp_path / "image"
    make_image(path, name, image)
    given = host_of(host)
    with open_image(image) as opened:
        facts = opened.facts
    pv = facts.type == "pv"
    answer = restored(facts.leaves, facts.msrs, "4.17.7", host=given, guest=Guest(pv=pv))
    assert not isinstance(answer, PolicyRefusal)
    ours, theirs = changed(facts.leaves or (), answer.policy), listed(recorded["policy_changed"])
    if len(recorded["policy_changed"]) == LISTED:
        ours = {place: words for place, words in ours.items() if place in theirs}
    assert ours == theirs
