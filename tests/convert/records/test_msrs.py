"""MSRs that the target does not know are left out, and named where they are not zero."""

import struct

import pytest

from tests.convert.samples import RELEASES
from xensave import catalogue
from xensave.container.streams.hvm import DESCRIPTOR
from xensave.context import Context, ContextRecord
from xensave.convert.plan import Plan
from xensave.convert.records.context import ContextConverter
from xensave.convert.records.msrs import fit_msrs, machines_of
from xensave.engine import Domain, Hypervisor, Policy, default_policy
from xensave.engine.handlers.msr import MSRS
from xensave.testing.streams import restorable_context
from xensave.toolstack.releases.series import representatives

SPEC_CTRL, FEATURES, DR0_MASK, PKRS, BNDCFGS = 0x48, 0x140, 0xC0011027, 0x6E1, 0xD90

INTEL = Policy.of([(0, 0, 0, 0x756E6547, 0x6C65746E, 0x49656E69)], {}, "GenuineIntel")


def machines(target):
    """Each point release that the target stands for, with its default policy."""
    return tuple(machines_of(point, [default_policy(point)]) for point in representatives(target))


def with_msrs(*msrs, release="4.17"):
    body = struct.pack("<II", len(msrs), 0)
    body += b"".join(struct.pack("<IIQ", index, 0, value) for index, value in msrs)
    data = restorable_context(release)
    return Context.parse(data[:-8] + DESCRIPTOR.pack(20, 0, len(body)) + body + data[-8:], release)


def convert(context, target):
    plan = Plan(target, "4.17")
    converter = ContextConverter(catalogue.release(target), plan, {}, lambda: machines(target))
    return converter.convert(context), plan


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


VALUES = (0, 1, 0x7, 0xFFF, 1 << 32, 1 << 63)


@pytest.mark.parametrize("target", RELEASES[RELEASES.index("4.6") :])
def test_msrs_that_the_policy_refuses_go_and_the_engine_takes_the_rest(target):
    """Each MSR with values that one policy gives and another not: no point release refuses one."""
    every = sorted({msr.number for msr in MSRS})
    for value in VALUES:
        made, plan = convert(with_msrs(*((index, value) for index in every)), target)
        for point in representatives(target):
            domain = Domain("hvm", 1, viridian=True)
            verdict = Hypervisor(point, domain, default_policy(point)).load(made)
            assert not getattr(verdict, "rule", "").startswith("MSR_"), (point, value, verdict)
        staying = made["CPU_MSR", 0].structs("msr") if "CPU_MSR" in made else []
        gone = [change for change in plan.changes if change.where.record == "CPU_MSR[0]"]
        lost = sum(change.lost for change in gone)
        assert lost == (len(every) - len(staying) if value else 0)


def test_what_is_refused_is_named_with_its_reason():
    made, plan = convert(with_msrs((SPEC_CTRL, 0x400), (FEATURES, 0)), "4.17.7")
    (change,) = [change for change in plan.changes if change.where.record == "CPU_MSR[0]"]
    assert [entry["index"] for entry in made["CPU_MSR", 0].structs("msr")] == [FEATURES]
    assert change.what == "1 of 2 MSRs of CPU_MSR[0]"
    assert "SPEC_CTRL 0x400: " in change.reason
    assert [(loss.field, loss.value) for loss in change.loss] == [("SPEC_CTRL", "0x400")]
    assert plan.losses


def test_mpx_is_held_to_the_states_that_the_vcpu_had():
    """BNDCFGS that enables it, of a vCPU whose XSAVE record has its states and of one without."""
    leaves = [
        (0, 0xFFFFFFFF, 0xD, 0x756E6547, 0x6C65746E, 0x49656E69),
        (7, 0, 0, 1 << 14, 0, 0),
        (0xD, 0, 0x1F, 0, 0, 0),
    ]
    mpx = [machines_of("4.17.7", [Policy.of(leaves, {}, "MPX")])]
    record = with_msrs((BNDCFGS, 1))["CPU_MSR", 0]
    body = struct.pack("<QQQ", 0x1F, 0x1F, 0x1F).ljust(600, b"\0")
    xsave = ContextRecord(16, 0, body, release="4.17")
    assert fit_msrs(record, mpx, "4.17.7", xsave) == (record, ())
    gone, (change,) = fit_msrs(record, mpx, "4.17.7")
    assert gone is None
    assert "never had its states" in change.reason
