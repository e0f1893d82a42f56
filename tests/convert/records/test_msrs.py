"""MSRs that the target does not know are left out, and named where they are not zero."""

import struct

import pytest

from tests.convert.samples import RELEASES
from xensave import catalogue
from xensave.container.streams.hvm import DESCRIPTOR
from xensave.context import Context
from xensave.convert.plan import Plan
from xensave.convert.records.context import ContextConverter
from xensave.engine import Domain, Hypervisor, Policy, default_policy
from xensave.engine.handlers.msr import MSRS
from xensave.testing.streams import restorable_context

SPEC_CTRL, XSS, DR0_MASK, PKRS = 0x48, 0xDA0, 0xC0011027, 0x6E1

INTEL = Policy.of([(0, 0, 0, 0x756E6547, 0x6C65746E, 0x49656E69)], {}, "GenuineIntel")


def with_msrs(*msrs, release="4.17"):
    body = struct.pack("<II", len(msrs), 0)
    body += b"".join(struct.pack("<IIQ", index, 0, value) for index, value in msrs)
    data = restorable_context(release)
    return Context.parse(data[:-8] + DESCRIPTOR.pack(20, 0, len(body)) + body + data[-8:], release)


def convert(context, target):
    plan = Plan(target, "4.17")
    return ContextConverter(catalogue.release(target), plan, {}).convert(context), plan


def test_unknown_msrs_go_and_known_ones_stay():
    made, plan = convert(with_msrs((SPEC_CTRL, 1), (PKRS, 0), (DR0_MASK, 7)), "4.6")
    (entry,) = made["CPU_MSR", 0].structs("msr")
    assert (entry["index"], entry["val"]) == (DR0_MASK, 7)
    change = next(change for change in plan.changes if change.where.record == "CPU_MSR[0]")
    assert [loss.field for loss in change.loss] == ["SPEC_CTRL"]


def test_a_record_without_any_msr_left_goes_too():
    made, plan = convert(with_msrs((SPEC_CTRL, 1)), "4.6")
    assert "CPU_MSR" not in made
    assert plan.losses


def test_a_record_with_a_wrong_count_is_left_to_the_engine():
    context = with_msrs((SPEC_CTRL, 1))
    odd = context.with_records(
        tuple(r.with_body(r.body + b"\1") if r.name == "CPU_MSR" else r for r in context.records)
    )
    assert convert(odd, "4.6")[0]["CPU_MSR", 0].length == 25


@pytest.mark.parametrize("target", RELEASES[RELEASES.index("4.6") :])
def test_the_engine_knows_the_msrs_that_are_left(target):
    """What is refused afterwards is refused for its value or the policy, not as unknown."""
    every = sorted({msr.number for msr in MSRS})
    made, _ = convert(with_msrs(*((index, 0) for index in every)), target)
    for entry in made["CPU_MSR", 0].structs("msr"):
        alone, _ = convert(with_msrs((entry["index"], 0)), target)
        verdicts = [
            Hypervisor(target, Domain("hvm", 1, viridian=True), policy).load(alone)
            for policy in (default_policy(target), INTEL)
        ]
        assert {getattr(verdict, "rule", "") for verdict in verdicts} != {"MSR_UNKNOWN"}, verdicts
