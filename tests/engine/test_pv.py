"""PV vCPUs: what Xen 4.17.7 said of edited records, and what other releases' sources say."""

import json
from functools import cache
from pathlib import Path

import pytest
import zstandard

from tests.restores import host_of, make_image, shared_cases
from xensave.catalogue.dates import version
from xensave.engine.pv import PvGuest, PvMemory, judge_pv
from xensave.findings import ERROR
from xensave.image import open_image
from xensave.image.facts.guest import PvVcpu
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import restored
from xensave.policy.steps.clamp import Guest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "pv" / "vcpus.json.zst"
SHARED = ROOT.parent / "shared"
CLASSES = ("base", "policy", "host", "pvvcpu", "pvlayout")


@cache
def oracle():
    with zstandard.open(DATA, "rt") as file:
        return json.load(file)


def vcpus_of(case):
    return {
        int(number): PvVcpu(**{name: text and bytes.fromhex(text) for name, text in blobs.items()})
        for number, blobs in case["vcpus"].items()
    }


def policy_on(release):
    carried = oracle()["policy"]
    leaves, msrs = ([tuple(row) for row in carried[name]] for name in ("leaves", "msrs"))
    return restored(leaves, msrs, release, guest=Guest(pv=True)).policy


def judge(vcpus, release="4.17.7", policy=None):
    guest = PvGuest(64, 1, vcpus)
    return judge_pv(version(release), guest, policy or policy_on(release))


def test_xen_417_answered_so():
    """The frames that a record names are not looked at here: that takes the whole image."""
    counted = {True: 0, False: 0, None: 0}
    for case in oracle()["cases"]:
        answer = judge(vcpus_of(case))
        ours = None if answer.depends else answer.refusal is None
        assert ours in (case["restored"], None), (case["name"], answer)
        counted[ours] += 1
    print(f"{counted[True]} restore, {counted[False]} are refused, {counted[None]} depend")
    assert counted[True] >= 5
    assert counted[False] >= 12
    assert counted[None] <= 1


def edited(record, at, value, size=8):
    """The vCPU of the sample with one field of a record changed; the front is not counted."""
    vcpu = vcpus_of(
        next(case for case in oracle()["cases"] if case["name"].endswith("kernel-ss-0"))
    )
    content = bytearray(getattr(vcpu[0], record))
    content[at : at + size] = value.to_bytes(size, "little")
    return {0: vcpu[0]._replace(**{record: bytes(content)})}


FS_BASE, VM_ASSIST, TRAP, DR0, DR6 = 5144, 5136, 720 + 8, 5048, 5048 + 48
HIGH = 1 << 63


@pytest.mark.parametrize(
    ("record", "at", "value", "refused", "taken"),
    [
        ("basic", FS_BASE, HIGH, ("4.6.5", "4.7.2", "4.8.0", "4.21"), ("4.6.4", "4.7.0", "4.7.1")),
        ("basic", VM_ASSIST, 1 << 20, ("4.12.3", "4.13.1", "4.14"), ("4.12.2", "4.13.0")),
        ("basic", TRAP, HIGH, ("4.6.0", "4.22"), ()),
        ("basic", DR6, 1 << 32, ("4.18.0", "4.22"), ("4.17.7",)),
        ("basic", DR0, 0xFFFF800000000000, ("4.18.0", "4.22"), ("4.17.7",)),
        ("xsave", 8, 0x207, ("4.8.5", "4.17.7"), ()),
    ],
)
def test_rules_begin_with_their_releases(record, at, value, refused, taken):
    for release in refused:
        assert judge(edited(record, at, value), release).refusal, release
    for release in taken:
        assert judge(edited(record, at, value), release).refusal is None, release


def test_states_beyond_the_policy_hung_on_the_host_before():
    answer = judge(edited("xsave", 8, 0x207), "4.9.2")
    assert answer.refusal is None or answer.refusal.rule == "PV_XSAVE_LENGTH"
    assert answer.depends


def msr_record(count):
    entry = (0x140).to_bytes(4, "little") + bytes(12)
    return {0: edited("basic", VM_ASSIST, 0)[0]._replace(msrs=entry * count)}


@pytest.mark.parametrize(
    ("release", "count", "answer"),
    [
        ("4.17.7", 7, "taken"),
        ("4.17.7", 8, "depends"),
        ("4.17.7", 12, "refused"),
        ("4.18.4", 8, "refused"),
        ("4.19.0", 8, "depends"),
        ("4.9.1", 99, "taken"),
    ],
)
def test_how_many_msrs_a_release_takes(release, count, answer):
    found = judge(msr_record(count), release)
    said = "refused" if found.refusal else "depends" if found.depends else "taken"
    assert said == answer


def test_a_domain_needs_vcpu_0_and_no_more_than_it_has():
    vcpu = edited("basic", VM_ASSIST, 0)[0]
    assert judge({}).refusal.rule == "PV_VCPU_0"
    assert judge({0: vcpu, 1: vcpu}).refusal.rule == "PV_VCPU_NUMBER"


def pv_cases():
    """Every PV image of the shared oracle, with the answer and the host that gave it."""
    for path, case, host, recorded in shared_cases():
        if case["base"] == "xen417-pv1" and case["cls"] in CLASSES:
            yield pytest.param(path, case["name"], host, recorded["restored"], id=case["name"])


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "name", "host", "recorded"), list(pv_cases()))
def test_whole_images_restore_as_xen_417_said(cases, name, host, recorded, tmp_path):
    image = tmp_path / "image"
    make_image(cases, name, image)
    given = host_of(host)
    assert restores(image, given) is recorded


def restores(path, host):
    """Whether the rules of the stream, the policy and the vCPUs let a PV image pass."""
    with open_image(path) as image:
        facts = image.facts
        errors = [finding.rule for finding in facts.broken or () if finding.severity == ERROR]
        if facts.stop or any("RESERVED" not in rule for rule in errors):
            return False
        bits = facts.width or 64
        policy = restored(
            facts.leaves, facts.msrs, "4.17.7", host=host, guest=Guest(pv=True, bits=bits)
        )
        if isinstance(policy, PolicyRefusal):
            return False
        guest = PvGuest(
            bits, facts.config.get("b_info", "max_vcpus"), facts.vcpus_pv, host.physical
        )
        answer = judge_pv(version("4.17.7"), guest, policy.policy, PvMemory.of(image, facts))
        return answer.refusal is None


EFLAGS_32 = 516 + 40


@pytest.mark.parametrize(
    ("release", "refused"), [("4.21.0", False), ("4.21.1", True), ("4.20.4", False), ("4.22", True)]
)
def test_a_32_bit_guest_in_virtual_8086_mode(release, refused):
    content = bytearray(2800)
    content[EFLAGS_32 : EFLAGS_32 + 4] = (1 << 17).to_bytes(4, "little")
    guest = PvGuest(32, 1, {0: PvVcpu(basic=bytes(content))})
    answer = judge_pv(version(release), guest, policy_on(release))
    assert (answer.refusal is not None) is refused
