"""Contexts from release to release: lengths, fix-ups, losses."""

from pathlib import Path

import pytest

from xensave import catalogue
from xensave.catalogue.model import EXACT
from xensave.context import Context
from xensave.convert.plan import Plan
from xensave.convert.records.context import ContextConverter
from xensave.convert.rules import parse_drop, parse_map
from xensave.testing import streams

ROOT = Path(__file__).parents[3]
RELEASES = catalogue.release_names()


def convert(context, target, source=None, rules=()):
    plan = Plan(target, source)
    converter = ContextConverter(
        catalogue.release(target), plan, {r.number: r for r in rules}, tuple
    )
    return converter.convert(context), plan


def sample(name="hvm1"):
    return Context.parse((ROOT / f"examples/{name}.ctx").read_bytes(), "4.17")


def by_record(plan):
    return {change.where.record: change for change in plan.changes}


@pytest.mark.parametrize("target", RELEASES)
@pytest.mark.parametrize("source", RELEASES)
def test_every_record_gets_the_length_of_its_target(source, target):
    context = Context.parse(streams.context(source, vcpus=2, fill=1), source)
    made, _ = convert(context, target, source)
    release = catalogue.release(target)
    for record in made.records:
        binding = release.binding(record.typecode)
        assert binding is not None, record
        assert record.length == binding.size, record
    wanted = {b.typecode for b in release.bindings} & {r.typecode for r in context.records}
    assert {record.typecode for record in made.records} == wanted


@pytest.mark.parametrize("release", RELEASES)
def test_same_release_changes_nothing(release):
    context = Context.parse(streams.context(release, vcpus=2, fill=7), release)
    made, plan = convert(context, release, release)
    assert made is context
    assert not plan.changes


@pytest.mark.parametrize("target", RELEASES[RELEASES.index("4.13") :])
@pytest.mark.parametrize("name", ["hvm1", "pvh1"])
def test_down_and_up_gives_a_real_context_back(name, target):
    context = sample(name)
    made, plan = convert(context, target, "4.17")
    back, _ = convert(Context.parse(made.to_bytes(), target), "4.17", target)
    if not plan.losses:
        assert back.to_bytes() == context.to_bytes()


def test_an_older_cpu_record_gets_an_initialised_fpu():
    context = Context.parse(streams.context("4.6", fill=3), "4.6")
    made, plan = convert(context, "4.7", "4.6")
    assert made["CPU", 0].integer("flags") == 1
    assert made["CPU", 0].integer("msr_tsc_aux") == context["CPU", 0].integer("msr_tsc_aux")
    assert by_record(plan)["CPU[0]"].citation.commit == "a3b6844d3b"


def test_the_compat_cpu_record_keeps_event_and_tsc():
    context = Context.parse(streams.context("3.4", fill=5), "3.4")
    made, _ = convert(context, "4.17", "3.4")
    old, new = context["CPU", 0], made["CPU", 0]
    assert (old.length, new.length) == (1016, 1032)
    for field in ("tsc", "pending_event", "error_code", "rip", "cs_arbytes"):
        assert new.integer(field) == old.integer(field)
    assert (new.integer("msr_tsc_aux"), new.integer("flags")) == (0, 1)


def test_an_assist_vector_becomes_a_pending_assist():
    context = Context.parse(streams.context("4.7"), "4.7").replace(
        "VIRIDIAN_VCPU", 0, apic_assist_msr=0x1001, apic_assist_vector=0x30
    )
    made, plan = convert(context, "4.17", "4.7")
    record = made["VIRIDIAN_VCPU", 0]
    assert record.integer("vp_assist_msr") == 0x1001
    assert record.integer("apic_assist_pending") == 1
    assert not plan.losses


def test_a_pending_assist_is_lost_where_a_vector_is_wanted():
    context = Context.parse(streams.context("4.17"), "4.17").replace(
        "VIRIDIAN_VCPU", 0, apic_assist_pending=1
    )
    made, plan = convert(context, "4.8", "4.17")
    assert made["VIRIDIAN_VCPU", 0].integer("apic_assist_vector") == 0
    assert [loss.field for loss in by_record(plan)["VIRIDIAN_VCPU[0]"].loss] == [
        "apic_assist_pending"
    ]


def test_what_older_releases_imply_is_not_lost():
    _, plan = convert(sample(), "4.6", "4.17")
    assert not plan.losses


def test_a_rtc_offset_is_lost_below_4_14_and_named():
    context = sample().replace("RTC", 0, rtc_offset=-3600)
    made, plan = convert(context, "4.13", "4.17")
    assert made["RTC", 0].length == 16
    (change,) = plan.losses
    assert change.loss[0].field == "rtc_offset"
    assert change.citation.release == "4.14"


def test_a_short_record_that_both_releases_load_alike_stays():
    context = sample()
    short = context.with_records(
        tuple(r.with_body(r.body[:16]) if r.name == "RTC" else r for r in context.records)
    )
    parsed = Context.parse(short.to_bytes(), "4.17")
    assert convert(parsed, "4.17", "4.17")[0] is parsed
    made, _ = convert(parsed, "4.13", "4.17")
    assert made["RTC", 0].length == 16


def test_what_the_target_has_no_handler_for_is_dropped_and_named():
    made, plan = convert(sample(), "4.1", "4.17")
    assert "VMCE_VCPU" not in made
    change = by_record(plan)["VMCE_VCPU[0]"]
    assert (change.action, change.loss[0].field, change.accepted) == ("drop", "caps", False)


def downstream(typecode, body):
    context = sample()
    *records, end = context.records
    extra = type(end)(typecode, 0, body, release="4.17")
    return Context.parse(context.with_records((*records, extra, end)).to_bytes(), "4.17")


def test_a_downstream_record_is_dropped_with_its_loss():
    made, plan = convert(downstream(22, b"\1" * 8), "4.17", "4.17")
    assert made.to_bytes() == sample().to_bytes()
    assert plan.losses[0].where.record == "type 22[0]"
    made, plan = convert(downstream(22, bytes(8)), "4.17", "4.17")
    assert not plan.losses


def test_map_retags_and_takes_the_place_of_the_record_it_stands_for():
    body = (7).to_bytes(8, "little") + bytes(24)
    made, plan = convert(downstream(22, body), "4.17", "4.17", [parse_map("22=VMCE_VCPU")])
    codes = [record.typecode for record in made.records]
    assert codes == [record.typecode for record in sample().records]
    assert made["VMCE_VCPU", 0].integer("caps") == 7
    assert [change.action for change in plan.changes] == ["map", "drop"]
    assert plan.losses[0].where.record == "VMCE_VCPU[0]"


def test_a_mapped_record_is_converted_on():
    body = (7).to_bytes(8, "little") + bytes(24)
    made, _ = convert(downstream(22, body), "4.9", "4.17", [parse_map("22=VMCE_VCPU")])
    assert made["VMCE_VCPU", 0].length == 24


def test_drop_is_an_agreed_loss():
    made, plan = convert(downstream(23, b"\1" * 8), "4.17", "4.17", [parse_drop("23")])
    assert made.to_bytes() == sample().to_bytes()
    assert plan.changes[0].lost == 1
    assert not plan.losses


def test_the_catalogue_says_exact_where_only_one_length_loads():
    release = catalogue.release("4.5")
    assert release.binding("CPU").load == EXACT
    made, _ = convert(sample(), "4.5", "4.17")
    assert made["CPU", 0].length == release.binding("CPU").size
