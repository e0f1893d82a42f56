"""What Xen takes away silently: recalculate_cpuid_policy() compiled for four releases."""

from collections import Counter

import pytest

from tests.policy.oracle import entries, hosts, lines
from xensave.catalogue.dates import version
from xensave.policy.featureset import changed_features
from xensave.policy.restore import set_policy
from xensave.policy.steps.clamp import Guest, clamped

GUESTS = {"hvm": Guest(), "hvm, shadow paging": Guest(hap=False), "pv": Guest(pv=True)}
RELEASES = sorted({answer["release"] for answer in lines("features.jsonl.zst")})
WIDTHS = 0x80000008
STATES = 0xD


def of(before, after, at):
    """The answer in the oracle's form."""
    changed = changed_features(before, after, at)
    return {
        "lost": list(changed.lost),
        "gained": list(changed.gained),
        "max_leaf": after.leaf(0)[0],
        "max_subleaf": after.leaf(7)[0],
        "max_extended": after.leaf(0x80000000)[0],
        "maxphysaddr": [policy.leaf(WIDTHS)[0] & 0xFF for policy in (before, after)],
        "xcr0": [
            policy.leaf(STATES)[3] << 32 | policy.leaf(STATES)[0] for policy in (before, after)
        ],
        "xstate_size": after.leaf(STATES)[2],
    }


@pytest.mark.parametrize("release", RELEASES)
def test_the_same_features_vanish(release):
    at = version(release)
    counted = Counter()
    for real in lines("features.jsonl.zst"):
        if real["release"] != release:
            continue
        most = hosts()[real["host"]]
        before = set_policy(*entries(real["name"]), at, default=most, maximum=most)
        ours = of(before, clamped(before, most, at, GUESTS[real["domain"]]), at)
        assert ours == {key: real[key] for key in ours}, (real["name"], real["host"])
        counted["policies"] += 1
        counted["features"] += len(real["lost"])
    print(f"{release}: {counted['policies']} policies lose {counted['features']} features alike")
    assert counted["features"] > 1000


def test_the_oracle_is_whole():
    assert len(lines("features.jsonl.zst")) == 4146
    assert RELEASES == ["4.17.0", "4.17.7", "4.20.0", "4.22.0"]
