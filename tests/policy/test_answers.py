"""What 20 point releases refuse of a CPU policy: every answer of Xen's own code."""

import errno
from collections import Counter

import pytest

from tests.policy.oracle import entries, hosts, lines
from xensave.catalogue.dates import version
from xensave.policy.host import fitted
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import set_policy
from xensave.policy.steps.compatible import cleared, compatible
from xensave.policy.steps.copy import copy_cpuid, copy_msrs, merged
from xensave.policy.value import Policy

EMPTY = Policy({}, {})
RELEASES = sorted({answer["release"] for answer in lines("answers.jsonl.zst")}, key=version)


def agrees(ours, theirs):
    """Whether a refusal, or what was taken, is the answer of the compiled code."""
    if not isinstance(ours, PolicyRefusal):
        return theirs["rc"] == 0
    wanted = {
        name: int(str(theirs[name]), 0) for name in ("leaf", "subleaf", "msr") if name in theirs
    }
    return -getattr(errno, ours.errno) == theirs["rc"] and all(
        getattr(ours, name) == value for name, value in wanted.items()
    )


def answers_of(release):
    return [answer for answer in lines("answers.jsonl.zst") if answer["release"] == release]


@pytest.mark.parametrize("release", RELEASES)
def test_set_policy_answers_as_the_release_does(release, record_property):
    at = version(release)
    counted = Counter()
    for answer in answers_of(release):
        leaves, msrs = entries(answer["name"])
        for host, real in answer["set"].items():
            most = hosts()[host]
            ours = set_policy(leaves, msrs, at, default=most, maximum=most)
            assert agrees(ours, real), (answer["name"], host, ours, real)
            counted["refused" if real["rc"] else "taken"] += 1
    record_property("answers", dict(counted))
    print(f"{release}: {counted['refused']} refused, {counted['taken']} taken, all agree")
    assert counted["refused"] > 100
    assert counted["taken"] > 100


@pytest.mark.parametrize("release", RELEASES)
def test_each_step_answers_as_the_release_does(release):
    at = version(release)
    for answer in answers_of(release):
        leaves, msrs = entries(answer["name"])
        assert agrees(copy_cpuid(leaves, at), answer["cpuid"]), answer["name"]
        assert agrees(copy_msrs(msrs, at), answer["msr"]), answer["name"]
        for host, real in (answer["compatible"] or {}).items():
            policy = cleared(merged(EMPTY, leaves, msrs), at)
            assert agrees(compatible(policy, fitted(hosts()[host], at), at), real), answer["name"]


def test_the_oracle_is_whole():
    assert len(lines("answers.jsonl.zst")) == 6460
    assert len(RELEASES) == 20
