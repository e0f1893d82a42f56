"""The loop: what a release makes of descriptors, by its own date."""

import random
import struct
from pathlib import Path

import pytest

from xensave.catalogue import release_names
from xensave.catalogue.dates import series_numbers
from xensave.engine import Domain, Hypervisor, Policy, default_policy
from xensave.engine.loop.load import _Walk
from xensave.testing.mutate import mutate
from xensave.toolstack.releases.typical import typical_context

ROOT = Path(__file__).parents[2]
DESCRIPTOR = struct.Struct("<HHI")
HEADER = DESCRIPTOR.pack(1, 0, 24) + struct.pack("<IIQII", 0x54381286, 1, 2**64 - 1, 0x60FB1, 0)
END = bytes(8)


def entry(typecode, body, instance=0, length=None):
    return DESCRIPTOR.pack(typecode, instance, len(body) if length is None else length) + body


def load(release, *records, domain=None):
    return Hypervisor(release, domain or Domain()).load(HEADER + b"".join(records) + END)


@pytest.mark.parametrize("release", release_names())
@pytest.mark.parametrize("kind", ["hvm", "pvh"])
def test_a_release_restores_its_own_typical_guest(release, kind):
    context = typical_context(release, kind)
    hypervisor = Hypervisor(release, Domain(kind))
    verdict = hypervisor.load(context)
    assert verdict.accepted, f"{verdict}: is its Spec in src/xensave/engine/handlers?"
    assert hypervisor.save() == context
    assert len(context) <= hypervisor.save_size()


@pytest.mark.parametrize(
    ("release", "errno"),
    [
        ("4.12.4", "EPERM"),
        ("4.13.3", "EPERM"),
        ("4.13.4", "ENODATA"),
        ("4.14.2", "EPERM"),
        ("4.14.3", "ENODATA"),
        ("4.15.0", "EPERM"),
        ("4.15.1", "ENODATA"),
        ("4.16.0", "ENODATA"),
        ("master", "ENODATA"),
    ],
)
def test_hvm_load_answered_minus_one_until_its_errnos_were_kept(release, errno):
    verdict = Hypervisor(release).load(b"")
    assert (verdict.accepted, verdict.errno, verdict.rule) == (False, errno, "HEADER_FIRST")


def test_from_4_19_on_a_bad_record_is_found_before_any_is_loaded():
    bad_link = entry(9, bytes([16, 0, 0, 0, 0, 0, 0, 0]))
    fine = entry(7, bytes(16))
    before = load("4.18", fine, bad_link)
    after = load("4.19", fine, bad_link)
    assert (before.errno, before.loaded, before.last) == ("EINVAL", 2, "PCI_LINK 0")
    assert (after.errno, after.loaded, after.last) == ("EINVAL", 0, None)
    assert after.record == before.record == "PCI_LINK[0]"
    assert after.offset == before.offset


def test_the_check_pass_skips_what_has_no_check_by_its_length():
    short = entry(19, bytes(4))
    assert Hypervisor("4.21").check(HEADER + short + END).accepted
    verdict = load("4.21", short)
    assert (verdict.errno, verdict.loaded, verdict.record) == ("EINVAL", 1, "TSC_ADJUST[0]")
    claimed = entry(19, bytes(8), length=4000)
    assert Hypervisor("4.21").check(HEADER + claimed + END).errno == "ENODATA"


@pytest.mark.parametrize(
    ("release", "byte", "value", "errno"),
    [
        ("4.18", 15, 0, None),
        ("4.19", 15, 0, "EINVAL"),
        ("4.19", 15, 2, "EDOM"),
        ("4.19", 47, 0, None),
        ("4.19", 12, 4, "EDOM"),
        ("4.19", 13, 255, None),
        ("4.19", 48, 2, "EDOM"),
        ("4.19", 52, 1, "EDOM"),
    ],
)
def test_the_pit_is_held_to_states_that_it_reaches_from_4_19_on(release, byte, value, errno):
    channel = struct.pack("<IHBBBBBBBBBB", 0x10000, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 1)
    body = bytearray(channel * 3 + bytes(8))
    body[byte] = value
    assert (load(release, entry(10, bytes(body))).errno or None) == errno


def test_a_later_wrong_value_yields_to_an_earlier_gate():
    channel = bytearray(struct.pack("<IHBBBBBBBBBB", 1, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 1))
    gateless, wild = bytearray(channel), bytearray(channel)
    gateless[15] = 0
    wild[14] = 9
    assert load("4.20", entry(10, bytes(gateless + wild + channel + bytes(8)))).errno == "EINVAL"
    assert load("4.20", entry(10, bytes(wild + gateless + channel + bytes(8)))).errno == "EDOM"


@pytest.mark.parametrize(
    ("body", "instance", "errno"),
    [
        (bytes([0, 0, 0, 8, 0, 0x40, 4, 0]), 0, ""),
        (bytes([0, 0, 0, 8, 0, 0x00, 4, 0]), 0, "EINVAL"),
        (bytes([0, 0, 0, 8, 0, 0x40, 1, 0]), 0, "EINVAL"),
        (bytes([0, 0, 0, 8, 1, 0x40, 4, 1]), 0, "EINVAL"),
        (bytes([0, 0, 0, 8, 0, 0x40, 4, 2]), 0, "EDOM"),
        (bytes([0, 0, 0, 8, 0, 0x00, 0, 0]), 1, ""),
        (bytes([0, 0, 0, 8, 0, 0x00, 4, 0]), 1, ""),
        (bytes([0, 0, 0, 8, 0, 0x00, 1, 0]), 1, "EINVAL"),
        (bytes(8), 2, "ENOENT"),
    ],
)
def test_the_pic_is_checked_from_4_19_on(body, instance, errno):
    assert load("4.21", entry(3, body, instance)).errno == errno


def test_a_pvh_domain_lacks_devices_from_4_7_on():
    assert load("4.21", entry(13, bytes(8)), domain=Domain("pvh")).errno == "ENODEV"
    assert load("4.12", entry(13, bytes(8)), domain=Domain("pvh")).errno == "EPERM"
    assert load("4.6", entry(13, bytes(8)), domain=Domain("pvh")).accepted


def cpu(size=1032, **fields):
    places = {"cr0": 656, "cr3": 672, "cr4": 680, "dr7": 728, "efer": 992, "aux": 1000}
    body = bytearray(size)
    body[656:664] = (0x11).to_bytes(8, "little")
    for name, value in fields.items():
        body[places[name] : places[name] + 8] = value.to_bytes(8, "little")
    return bytes(body)


@pytest.mark.parametrize(
    ("fields", "release", "accepted"),
    [
        ({"cr0": 0x80000010}, "3.1", True),
        ({"cr0": 0x80000010}, "3.2", False),
        ({"aux": 1 << 32}, "4.11", True),
        ({"aux": 1 << 32}, "4.12", False),
        ({"cr3": 1 << 40}, "4.13", True),
        ({"cr3": 1 << 40}, "4.14", False),
        ({"dr7": 1 << 32}, "4.17", True),
        ({"dr7": 1 << 32}, "4.18", False),
        ({"cr4": 1 << 11}, "4.10", True),
        ({"cr4": 1 << 11}, "4.9", False),
        ({"cr4": 1 << 23}, "4.21", False),
        ({"cr4": 1 << 22}, "4.8", True),
        ({"cr4": 1 << 21}, "4.8", None),
        ({"cr4": 1 << 21}, "4.9", False),
        ({"cr4": 1 << 20}, "4.1.1", False),
        ({"cr4": 1 << 20}, "4.1.2", True),
        ({"cr4": 1 << 13}, "4.4", False),
        ({"cr4": 1 << 13}, "4.5", None),
        ({"efer": 1 << 12}, "4.21", False),
        ({"efer": 1 << 13}, "4.11", None),
        ({"efer": 1 << 13}, "4.12", False),
        ({"efer": 1 << 63}, "4.7", True),
        ({"efer": 1 << 63}, "4.8.4", True),
        ({"efer": 1 << 63}, "4.8.5", False),
    ],
)
def test_cpu_rules_hold_from_their_dates(fields, release, accepted):
    numbers = series_numbers(release)
    size = 1016 if numbers < (4, 0) else 1024 if numbers < (4, 7) else 1032
    assert load(release, entry(2, cpu(size, **fields))).accepted is accepted


def test_nested_virtualisation_lets_svme_in():
    leaves = dict(default_policy("4.21").leaves)
    a, b, c, d = leaves[0x80000001, 0]
    leaves[0x80000001, 0] = (a, b, c | 1 << 2, d)
    hypervisor = Hypervisor("4.21", Domain(nested=True), Policy(leaves, {}))
    assert hypervisor.load(HEADER + entry(2, cpu(efer=1 << 12)) + END).accepted


def test_shadow_paging_leaves_cr3_to_the_guests_memory():
    hypervisor = Hypervisor("4.21", Domain(hap=False))
    verdict = hypervisor.load(HEADER + entry(2, cpu(cr0=0x80000011)) + END)
    assert verdict.accepted is None
    assert "memory at CR3" in verdict.depends[0]


def msrs(*pairs):
    return struct.pack("<II", len(pairs), 0) + b"".join(
        struct.pack("<IIQ", index, 0, value) for index, value in pairs
    )


@pytest.mark.parametrize(
    ("release", "pair", "errno"),
    [
        ("4.17", (0x140, 1), ""),
        ("4.17", (0x140, 2), "ENXIO"),
        ("4.17", (0x48, 0), "ENXIO"),
        ("4.17", (0x10, 0), "ENXIO"),
        ("4.17", (0xDA0, 0), "ENXIO"),
        ("4.17", (0xC0011027, 1), "ENXIO"),
        ("4.9", (0xD90, 0), "EPERM"),
    ],
)
def test_each_msr_must_be_one_that_the_policy_has(release, pair, errno):
    assert load(release, entry(20, msrs(pair))).errno == errno


def test_an_msr_that_only_the_host_could_tell_of_is_left_to_it():
    verdict = load("4.11", entry(20, msrs((0xC0011027, 1))))
    assert verdict.accepted is None
    assert "DBEXT" in verdict.depends[0]


def test_save_one_answers_as_the_partial_domctl():
    hypervisor = Hypervisor("4.17", Domain("pvh"))
    assert hypervisor.save_one(19, 0) == "ENODATA"
    assert hypervisor.load(typical_context("4.17", "pvh")).accepted
    assert hypervisor.save_one(19, 0) == bytes(8)
    assert hypervisor.save_one(19, 1) == "ENOENT"
    assert hypervisor.save_one(22, 0) == "EINVAL"
    assert hypervisor.save_one(13, 0) == "ENOENT"


def test_what_was_loaded_is_kept_as_the_release_writes_it():
    hypervisor = Hypervisor("4.21", Domain("pvh"))
    assert hypervisor.load(typical_context("4.13", "pvh")).accepted
    again = hypervisor.save()
    assert len(hypervisor.save_one(5, 0)) == 32
    assert Hypervisor("4.21", Domain("pvh")).load(again).fixups == ()


@pytest.mark.parametrize("release", ["4.2", "4.13", "4.17", "4.20"])
@pytest.mark.parametrize("name", ["hvm1.ctx", "pvh1.ctx"])
def test_records_of_which_nothing_is_to_be_said_are_judged_alike(monkeypatch, release, name):
    """What is taken quickly has the verdict that every record step by step has."""
    whole = (ROOT / "examples" / name).read_bytes()
    chance = random.Random(release + name)
    contexts = [whole, *(mutate(whole, chance) for _ in range(150))]
    hypervisor = Hypervisor(release, Domain(name[:3]))
    quick = [(hypervisor.load(data), hypervisor.check(data)) for data in contexts]
    monkeypatch.setattr(_Walk, "quick", lambda self: None)
    assert [(hypervisor.load(data), hypervisor.check(data)) for data in contexts] == quick
