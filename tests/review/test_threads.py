"""Patches rebuilt small from threads on xen-devel: what the reviewers said, and nothing else."""

from pathlib import Path

import pytest

from xensave.review.session import Request, review

THREADS = Path(__file__).parents[1] / "data" / "patches" / "threads"
ABIS = "STRUCT_DIFFERS_BETWEEN_ABIS"
ANSWERS = {
    "cpu-non-register-state": [],
    "ext-dest-id-21": ["CHECK_NEEDS_LATER_LOAD"],
    "framework-deprecated": [],
    "lapic-default-id": [ABIS],
    "lapic-pending-esr": [ABIS],
    "lapic-x2apic-id": ["RESERVED_FIELD_NOT_CHECKED"],
    "params-reuse-20": ["SPACE_NUMBER_TAKEN"],
    "ppc-riscv-no-header": [],
}


@pytest.mark.parametrize(("name", "rules"), ANSWERS.items())
def test_a_thread(name, rules):
    path = THREADS / f"{name}.patch"
    (done,) = review(Request(inputs=(str(path),)), lambda _: path.read_bytes()).reviews
    assert [objection.finding.rule for objection in done.objections] == rules


def test_every_patch_has_an_answer():
    assert {path.stem for path in THREADS.iterdir()} == set(ANSWERS)
