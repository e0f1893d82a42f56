"""Records of a stream that the user drops or maps, and what a target refuses of params and TSC."""

from __future__ import annotations

import struct

import pytest

from xensave.container.description import Config
from xensave.container.streams.libxc_records import CpuidLeaf, HvmParams
from xensave.context import ContextRecord
from xensave.convert.records.msrs import clamp_spec_ctrl, machines_of
from xensave.convert.rules import load_rules, parse_drop, parse_map, record_of
from xensave.convert.settings import Settings
from xensave.convert.stream.params import convert_params
from xensave.errors import UsageError
from xensave.findings import Place
from xensave.image.facts.guest import GuestFacts
from xensave.policy.steps.default import default_policy
from xensave.policy.value import Policy
from xensave.toolstack.rule import Restore, target_of


def test_a_record_of_a_stream_has_a_layer_and_a_number() -> None:
    assert record_of("libxc:0x13") == ("libxc", 0x13)
    assert record_of("libxl:1") == ("libxl", 1)
    assert record_of("19") == (None, 19)
    rule = parse_map("libxc:0x21=libxc:0x12")
    assert (rule.layer, rule.number, rule.to) == ("libxc", 0x21, "libxc:0x12")
    settings = Settings("4.17", rules=(parse_drop("19"), parse_drop("libxc:19")))
    settings.check()
    assert list(settings.by_typecode) == [19]
    assert list(settings.by_record) == [("libxc", 19)]


@pytest.mark.parametrize(
    "text", ["libxc:0", "qemu:1", "libxc:NOTHING", "libxc:0x100000000", "libxl:"]
)
def test_no_such_record(text: str) -> None:
    with pytest.raises(UsageError):
        parse_drop(text)


def test_a_record_stays_in_its_stream() -> None:
    with pytest.raises(UsageError, match="its own stream"):
        parse_map("libxc:0x21=libxl:1")


def test_a_rules_file_takes_a_record_of_a_stream_whole(tmp_path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('schema = 1\n[[record]]\nfrom = "libxc:0x13"\naction = "drop"\n')
    assert [(rule.layer, rule.number) for rule in load_rules(str(path))] == [("libxc", 0x13)]
    path.write_text(path.read_text() + 'ignore = ["body"]\n')
    with pytest.raises(UsageError, match="HVM context only"):
        load_rules(str(path))


def fitted(target, *pairs, kind="hvm", policy=False):
    """Return the params that a target gets of these, and what the changes lose."""
    leaves = (CpuidLeaf(0, 0xFFFFFFFF, 0, 0, 0, 0),) if policy else None
    facts = GuestFacts(config=Config("", {"c_info": {"type": kind}}), leaves=leaves)
    restore = Restore(facts, target_of(target), default_policy(target))
    body = HvmParams(pairs).to_bytes()
    new, changes = convert_params(body, [restore], Place())
    return HvmParams.parse(new).params, [change.lost for change in changes]


STORE = (1, 0xFEFFE)


def test_a_param_that_the_target_refuses_by_its_value_is_dropped() -> None:
    nested = (24, 1)
    assert fitted("4.17", nested, STORE) == ((STORE,), [1])
    assert fitted("4.14", nested, STORE) == ((nested, STORE), [])


def test_a_param_that_is_refused_for_another_fact_is_dropped() -> None:
    """Set a second time, of a device that a PVH guest has not, of CPUs of another vendor."""
    assert fitted("4.17", (5, 0xFEFF0), (5, 0xFEFF1)) == (((5, 0xFEFF0),), [1])
    assert fitted("4.17", (19, 1), STORE) == (((19, 1), STORE), [])
    assert fitted("4.17", (19, 1), STORE, kind="pvh") == ((STORE,), [1])
    assert fitted("4.17", (38, 1), STORE, policy=True) == ((STORE,), [1])
    # Where the guest brings no policy, the host's CPU may be of any vendor.
    assert fitted("4.17", (38, 1), STORE) == (((38, 1), STORE), [])
    assert fitted("4.17", (9, 0), STORE) == ((STORE,), [0])


def test_spec_ctrl_is_held_to_the_policy() -> None:
    """A guest without SSBD: 969a57f73f has newer senders clear the bit."""
    entry = struct.pack("<IIQ", 0x48, 0, 0x7)
    record = ContextRecord(20, 0, struct.pack("<II", 1, 0) + entry, release="4.17")
    none = [machines_of("4.17.0", [Policy.of((), {}, "a test")])]
    assert clamp_spec_ctrl(record, none) == (record, ())
    policy = Policy.of(((7, 0, 0, 0, 0, 1 << 26),), {}, "a test")
    ibrsb = [machines_of("4.17.0", [policy])]
    held, (change,) = clamp_spec_ctrl(record, ibrsb)
    assert held.body[-8:] == struct.pack("<Q", 0x3)
    assert change.what == "SPEC_CTRL 0x7 to 0x3"
    assert clamp_spec_ctrl(held, ibrsb) == (held, ())
