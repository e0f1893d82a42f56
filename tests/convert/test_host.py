"""A conversion for a host that is known: what a real Xen answered on a weaker one.

The images are those that tests/toolstack has a real Xen's answers for; each is converted for the
release that wrote it, on that host. What vanished of a guest's policy is what `xen-cpuid` printed.
"""

import json
import struct
from collections import Counter
from pathlib import Path

import pytest

from tests.convert.samples import converted
from tests.toolstack.corpus import DATA, asked, base, rebuilt, thin
from xensave.catalogue.dates import version
from xensave.catalogue.features import WORDS, features_of
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.hvm import DESCRIPTOR
from xensave.convert import ConversionRefused, Settings, plan_conversion
from xensave.errors import XensaveError
from xensave.image import open_image
from xensave.policy.hostfile import read_host
from xensave.testing.streams import (
    configuration,
    emulator,
    hvm_tail,
    libxc_stream,
    libxl_stream,
    memory,
    restorable_context,
    xl_image,
)
from xensave.toolstack.restore import judge

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "examples" / "hvm1.img.zst"
POINTS = {"4.14": "4.14.6", "4.17": "4.17.7", "4.20": "4.20.4"}
LINES = (DATA / "weak.jsonl").read_text().splitlines()
CASES = {case["name"]: case for case in map(json.loads, LINES)}
SOUND = [name for name, case in CASES.items() if case["hosts"]["weak"]["restored"]]
QUICK = 11


def host_file(name):
    return read_host(str(DATA / f"{name}.txt"))


def image_of(case):
    """The image of a case, of a sample or of a thinned one; skips where its sample is not there."""
    data = thin(case["base"]) if "xen" in case else base(case["base"])
    if data is None:
        pytest.skip(f"no sample image {case['base']}")
    return rebuilt(data, case["edits"])


def planned(data, target, host):
    """The plan; None where the conversion is refused, or would lose state."""
    try:
        plan = plan_conversion(data, Settings(target, host=host))
        plan.check(allow_loss=False)
    except XensaveError:
        return None
    return plan


def taken_away(case, leaves):
    """The features that the real Xen took out of the policy's leaves, by name."""
    features = features_of(version("4.17.7"))
    for leaf, subleaf, register, old, new in case["hosts"]["weak"]["policy_changed"]:
        place = int(leaf, 16), 0 if subleaf == "-" else int(subleaf, 16), "abcd".index(register)
        for number, word in enumerate(WORDS):
            if (
                place == (word.leaf, word.subleaf, word.register)
                and not word.msr
                and word.leaf <= leaves[word.leaf & 0x80000000]
            ):
                gone = int(old, 16) & ~int(new, 16)
                for bit in range(32):
                    if gone >> bit & 1 and (number, bit) in features.by_bit:
                        yield features.name(number, bit)


@pytest.mark.parametrize("name", CASES)
def test_the_plan_answers_as_the_real_xen_did(name):
    plan = planned(image_of(CASES[name]), "4.17.7", host_file("weak"))
    assert (plan is not None) == CASES[name]["hosts"]["weak"]["restored"]


@pytest.mark.parametrize("name", [name for name in SOUND if "no-policy" not in name])
def test_what_vanishes_is_named(name):
    data = image_of(CASES[name])
    with open_image(data) as image:
        leaves = {leaf.leaf: leaf.a for leaf in image.facts.leaves}
    plan = planned(data, "4.17.7", host_file("weak"))
    (lost,) = [text for text in plan.warnings if text.startswith("the guest loses")]
    wanted = set(taken_away(CASES[name], leaves))
    assert wanted
    assert set(lost.partition(": ")[2].split()) == wanted


def test_images_of_other_releases_and_hosts(capsys):
    """A plan of no change is `check`'s verdict; one that mends says what it changed."""
    counts = Counter()
    for case in [case for case in asked() if case.get("host")][::QUICK]:
        data, target = image_of(case), POINTS[case["xen"]]
        plan = planned(data, target, host_file(case["host"]))
        if plan is not None and any(each.record for each, *_ in plan.changes):
            counts["mended"] += 1
            continue
        if plan is not None and plan.depends:
            counts["depend"] += 1
            continue
        counts["agree" if (plan is not None) == case["restored"] else case["name"]] += 1
    with capsys.disabled():
        print(f" {dict(counts)} ", end="")
    assert set(counts) <= {"agree", "mended", "depend"}
    assert counts["agree"] > 20


@pytest.mark.parametrize("target", ["4.13", "4.14.6"])
def test_the_result_is_what_check_takes_on_that_host(target):
    """The policy that version 2 cannot carry is made of the host's: what it lacks is named."""
    host = host_file("weak")
    with open_image(IMAGE) as image:
        data = b"".join(event.to_bytes() for event in image.events())
    made, converter = converted(data, Settings(target, host=host, allow_loss=True))
    (lost,) = [text for text in converter.plan.warnings if text.startswith("the guest loses")]
    assert {"avx", "pku", "smep"} <= set(lost.partition(": ")[2].split())
    with open_image(made) as image:
        assert judge(image.facts, f"{target}.0"[:6], host=host).accepted is not False


def test_a_context_that_the_host_refuses_refuses_the_conversion():
    """A guest with protection keys on, alone and in a stream."""
    settings = Settings("4.17.7", "4.17", host=host_file("weak"))
    with pytest.raises(ConversionRefused, match="CR4"):
        plan_conversion(str(ROOT / "examples" / "pvh1.ctx"), settings)
    case = CASES["pvh-base-as-saved"]
    with pytest.raises(ConversionRefused, match=r"the host lacks .*pku.*, which the guest uses"):
        plan_conversion(image_of(case), settings)


def of_old(*msrs):
    """An image of a 4.13 HVM guest, whose stream has no policy, with MSRs."""
    body = struct.pack("<II", len(msrs), 0)
    body += b"".join(struct.pack("<IIQ", index, 0, value) for index, value in msrs)
    context = restorable_context("4.13")
    context = context[:-8] + DESCRIPTOR.pack(20, 0, len(body)) + body + context[-8:]
    tail = hvm_tail("4.13").replace(
        pack_record(libxc.HVM_CONTEXT, restorable_context("4.13")),
        pack_record(libxc.HVM_CONTEXT, context),
    )
    return xl_image(
        libxl_stream(libxc_stream(memory(1) + tail, "4.13"), emulator()), configuration()
    )


SPEC_CTRL = (0x48, 1)
UNKNOWN = (0x1A0, 1)


def test_an_msr_that_some_host_gives_stays_where_none_is_known():
    """SPEC_CTRL takes IBRSB or AMD's IBRS, which many CPUs have and the samples' has not."""
    made, converter = converted(of_old(SPEC_CTRL, UNKNOWN), Settings("4.17.7", allow_loss=True))
    with open_image(made) as image:
        assert [entry["index"] for entry in image.context["CPU_MSR", 0].structs("msr")] == [0x48]
    (change,) = [change for change in converter.plan.changes if change.lost]
    assert "no MSR 0x1a0" in change.reason
    assert any(
        "gives the guest" in doubt and "SPEC_CTRL 0x1" in doubt for doubt in converter.plan.depends
    )


def test_a_known_host_that_does_not_give_it_takes_it_away():
    plan = plan_conversion(of_old(SPEC_CTRL), Settings("4.17.7", host=host_file("weak")))
    assert [loss.field for change in plan.losses for loss in change.loss] == ["SPEC_CTRL"]
    assert not any("SPEC_CTRL" in doubt for doubt in plan.depends)
