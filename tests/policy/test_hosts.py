"""What files say of a host, and the three answers about a guest before it."""

import re
from pathlib import Path

import pytest

from tests.policy.oracle import hosts
from xensave.catalogue.dates import version
from xensave.errors import Malformed
from xensave.policy.hostfile import host_of_text, read_host
from xensave.policy.restore import restored
from xensave.policy.value import NO_REGISTERS, Policy

ROOT = Path(__file__).parents[2]
STRONG = ROOT / "examples" / "hosts" / "amd.txt"
AT = version("4.17.7")
LEAVES = [
    (0, 0xFFFFFFFF, 0xD, 0x68747541, 0x444D4163, 0x69746E65),
    (1, 0xFFFFFFFF, 0x60FB1, 0x800, 0xF6F83203, 0x1FCBFBFD),
    (7, 0, 0, 0x18803A9, 0x20C, 0),
    (0x80000000, 0xFFFFFFFF, 0x80000021, 0x68747541, 0x444D4163, 0x69746E65),
    (0x80000001, 0xFFFFFFFF, 0x60FB1, 0, 0x71, 0xE5D3FBFD),
    (0x80000008, 0xFFFFFFFF, 0x3028, 0x100000, 0x2003, 0),
]


def without_zeros(policy):
    """A policy without what a text leaves out."""
    return {place: regs for place, regs in policy.leaves.items() if regs != NO_REGISTERS}


def test_the_text_is_the_policy_that_xen_printed():
    host = read_host(str(STRONG))
    assert without_zeros(host.hvm_max) == without_zeros(hosts()["amd-strong"])
    assert host.hvm_max.msrs == hosts()["amd-strong"].msrs
    assert without_zeros(host.pv_max) != without_zeros(host.hvm_max)
    assert host.hvm_default is not None
    assert host.pv_default is not None
    assert host.physical is not None


def test_features_are_lost_by_name():
    answer = restored(LEAVES, (), "4.17.7", host=read_host(str(STRONG)))
    weaker = re.sub(
        r"(00000007:00000000 -> )\w{8}:\w{8}", r"\g<1>00000000:00000000", STRONG.read_text()
    )
    poorer = restored(LEAVES, (), "4.17.7", host=host_of_text(weaker, "weaker"))
    assert {"fsgsbase", "smep", "bmi1"} & set(poorer.lost)
    assert not {"fsgsbase", "smep", "bmi1"} & set(answer.lost)


def test_words_of_a_featureset_clamp_features_and_nothing_else():
    words = "1fcbfbfd-f6f83203-e4500800-00000073-00000005-00000000-00000000"
    host = host_of_text(words, "pool")
    answer = restored(LEAVES, (), "4.22.0", host=host)
    assert host.kind == "featureset"
    assert "smep" in answer.lost
    assert answer.policy.leaf(0)[1:] == LEAVES[0][3:]


def test_a_guest_there_is_the_least_that_a_host_gives():
    host = host_of_text(
        "Domain 1 policy: 2 leaves, 1 MSRs\n CPUID:\n"
        "  00000000:ffffffff -> 0000000d:68747541:444d4163:69746e65\n"
        "  00000007:00000000 -> 00000000:00000000:00000000:00000000\n",
        "guest",
    )
    wide = [(7, 0, 2, 0, 0, 0)]
    assert restored(wide, (), "4.17.4", host=host).errno == "EINVAL"
    assert not hasattr(restored(wide, (), "4.17.5", host=host), "errno")


@pytest.mark.parametrize("text", ["", "nothing\n", "12345678\n"])
def test_what_says_nothing_of_a_host_is_refused(text):
    with pytest.raises(Malformed):
        host_of_text(text, "x")


def test_without_a_host_only_what_no_host_gives_is_lost():
    unknown = [(7, 0, 0, 0x18803A9, 1 << 7, 0)]  # CET_SS, which no guest of 4.17 may have
    answer = restored([*LEAVES, *unknown], (), "4.17.7")
    assert answer.lost == ("cet_ss",)


@pytest.mark.parametrize("release", ["4.14.0", "4.15.2", "4.16.0", "4.22.0"])
def test_what_a_release_makes_up_it_takes(release):
    assert restored(None, None, release).made_up


def test_a_stream_without_a_policy_gets_one():
    answer = restored(None, None, "4.17.7")
    assert answer.made_up
    assert answer.policy.has("rdrand")
    assert not answer.policy.has("mpx")


def test_shared_hosts_read(tmp_path):
    folder = Path(__file__).parents[3] / "shared" / "data" / "hosts"
    if not folder.is_dir():
        pytest.skip("the shared hosts are not here")
    for path in folder.glob("*/xen-cpuid-p.txt"):
        host = read_host(str(path))
        assert host.kind == "xen-cpuid"
        assert isinstance(host.hvm_max, Policy)
