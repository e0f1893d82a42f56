"""The policy that a release gives a domain of its own accord, on the sample images' host."""

from __future__ import annotations

import json
import os
from functools import cache

from xensave.catalogue.dates import Dated, version
from xensave.catalogue.model import Cite
from xensave.policy.host import most_generous
from xensave.policy.steps.clamp import Guest, clamped
from xensave.policy.value import PLATFORM_INFO, CpuidEntry, Policy

NO_MPX = Dated(
    "POLICY_DEFAULT_MPX",
    "X86_CPUID_POLICY",
    "A domain has no MPX by default.",
    Cite("calculate_hvm_def_policy", "54463aa79d", "x86/hvm: Disable MPX by default", "4.14"),
    since=("4.14",),
)


@cache
def default_policy(release: str) -> Policy:
    """Returns the policy that a release gives a domain on the CPU of the sample images.

    That CPU is AMD-like, with PKU, without AVX-512: QEMU's "max" model in software emulation.
    It has MPX, which domains had by default before `NO_MPX`.
    """
    raw = _load()
    parts = ["leaves"] if NO_MPX.holds(version(release)) else ["leaves", "leaves_until_4.13"]
    leaves = [_entry(row) for part in parts for row in raw[part]]
    msrs = {int(index, 16): int(value, 16) for index, value in raw["msrs"]}
    return Policy.of(leaves, msrs, f"the default CPU policy of Xen {release} on the samples' host")


@cache
def pv_default_policy(release: str) -> Policy:
    """Returns the policy that a release with CPU policies gives a PV domain on the same CPU."""
    policy = default_policy(release)
    at = version(release)
    faultless = policy.with_msr(PLATFORM_INFO, 0)
    return clamped(faultless, most_generous(at, policy, pv=True), at, Guest(pv=True))


def _entry(row: list[str]) -> CpuidEntry:
    leaf, subleaf, a, b, c, d = (int(text, 16) for text in row)
    return leaf, subleaf, a, b, c, d


@cache
def _load() -> dict[str, list[list[str]]]:
    path = os.path.join(os.path.dirname(__file__), "..", "data", "default.json")  # noqa: PTH118, PTH120
    with open(path, "rb") as file:
        contents: dict[str, list[list[str]]] = json.load(file)
    return contents
