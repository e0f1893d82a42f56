"""What becomes of a guest's policy on a host: refused, clamped, or its state refused for it."""

import re
from pathlib import Path

import pytest

from xensave.image import open_image
from xensave.policy.hostfile import host_of_text, read_host
from xensave.policy.refusal import PolicyRefusal
from xensave.toolstack.libxc.guest_policy import (
    culprits,
    lost_sentence,
    needs_sentence,
    restored_policy,
    state_refuses,
)

RELEASE = "4.17.7"
ROOT = Path(__file__).parents[2]
STRONG = ROOT / "examples" / "hosts" / "amd.txt"


@pytest.fixture(scope="module")
def facts():
    """The sample HVM guest, with the registers of the PVH one: those use features."""
    with open("examples/pvh1.ctx", "rb") as file:
        context = file.read()
    with open_image("examples/hvm1.img.zst") as image:
        config = image.facts.config
        return image.facts._replace(context=context, config=config)


@pytest.fixture(scope="module")
def weak():
    """A host whose leaf 7 is empty: no SMEP, FSGSBASE, PKU."""
    zero = "00000000:" * 3 + "00000000"
    return host_of_text(
        re.sub(r"(00000007:0000000\d -> ).*", rf"\g<1>{zero}", STRONG.read_text()), "weak"
    )


def test_a_strong_host_takes_no_feature_that_is_used(facts):
    answer = restored_policy(facts, RELEASE, host=read_host(str(STRONG)))
    assert lost_sentence(answer.lost).startswith("the guest loses")
    assert not {"smep", "fsgsbase", "pku"} & set(answer.lost)


def test_a_weak_host_takes_what_the_registers_use(facts, weak):
    answer = restored_policy(facts, RELEASE, host=weak)
    assert {"smep", "fsgsbase", "pku", "avx2"} <= set(answer.lost)
    assert set(culprits(facts, RELEASE, answer)) == {
        "smep",
        "fsgsbase",
        "pku",
    }
    assert "cr4" in state_refuses(facts, RELEASE)(answer.policy)


def test_the_sentence_tells_what_is_used_from_what_was_offered(facts):
    text = needs_sentence(facts, RELEASE, restored_policy(facts, RELEASE))
    used, offered = text.split("; the guest can do without")
    assert " smep " in used
    assert " avx2 " in offered


def test_the_policy_alone_refuses_first(facts):
    answer = restored_policy(facts, "4.15.2")
    assert isinstance(answer, PolicyRefusal)
    assert answer.errno == "ERANGE"
