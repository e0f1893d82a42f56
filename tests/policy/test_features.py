"""What Xen takes away silently: recalculate_cpuid_policy() compiled for four releases."""

import ast
from collections import Counter

import pytest

from tests.policy.oracle import entries, hosts, lines
from tests.test_layers import ROOT
from xensave.catalogue.dates import version
from xensave.policy.featureset import changed_features
from xensave.policy.restore import set_policy
from xensave.policy.steps.clamp import STATE_FEATURES, Guest, clamped
from xensave.records.meaning.cpu.features import places

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


def asked_by_name(tree):
    """The features that code names: of a policy it asks, and of a row of known bits."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).lower().endswith("policy.has"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))
        if isinstance(node, ast.keyword) and node.arg == "features":
            yield from (each.value for each in getattr(node.value, "elts", ()))


def test_code_asks_for_features_by_names_that_xen_has():
    """A policy has no feature of another name, so that a wrong one would refuse in silence."""
    asked = Counter(STATE_FEATURES)
    for path in ROOT.rglob("*.py"):
        asked.update(asked_by_name(ast.parse(path.read_text())))
    assert {"intel_psfd", "psfd", "fsgsbase", "virt_ssbd", "pks"} <= asked.keys()
    assert not asked.keys() - places().keys()


def test_a_name_that_xen_does_not_have_is_seen():
    code = 'machine.policy.has("intel_psfx")\nKnownBits(0x80, features=("psfx", "psfd"))'
    assert {*asked_by_name(ast.parse(code))} - places().keys() == {"intel_psfx", "psfx"}
