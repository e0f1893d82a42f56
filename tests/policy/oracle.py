"""The answers of Xen's own policy code, compiled for each release: 323 policies, 20 releases.

`hosts` and `policies` are by name; `answers` and `features` are lines, each for a release and a
policy. Xen's x86_cpuid_copy_from_buffer(), x86_msr_copy_from_buffer(),
x86_cpu_policies_are_compatible() and recalculate_cpuid_policy() gave them.
"""

import json
from functools import cache
from pathlib import Path

import zstandard

from xensave.policy.steps.copy import merged
from xensave.policy.value import Policy

DATA = Path(__file__).parents[1] / "data" / "policies"


def read(name):
    with zstandard.open(DATA / name, "rt") as file:
        return file.read()


@cache
def lines(name):
    return [json.loads(line) for line in read(name).splitlines()]


@cache
def _all():
    return json.loads(read("policies.json.zst"))


@cache
def entries(name):
    """Return a policy's leaves and MSRs, as the records have them."""
    raw = _all()["policies"][name]
    return [tuple(row) for row in raw["cpuid"]], [tuple(row) for row in raw["msr"]]


@cache
def hosts():
    return {
        name: merged(Policy({}, {}), map(tuple, raw["cpuid"]), map(tuple, raw["msr"]))
        for name, raw in _all()["hosts"].items()
    }
