"""A guest without a policy of its own, on a host that is not known: its state may need more.

A stream of version 2 carries no CPU policy: the target's toolstack gives the guest what its own
host has. What the samples' host lacks, as PCID, is no reason to refuse the guest of another.
"""

import re
from pathlib import Path

import pytest

from xensave.engine.verdict import Accepted, Depends, Refused
from xensave.image import open_image
from xensave.policy.generous import generous_hosts
from xensave.policy.hostfile import host_of_text
from xensave.toolstack.restore import judge

RELEASE = "4.17.7"
ROOT = Path(__file__).parents[2]
AMD = (ROOT / "examples" / "hosts" / "amd.txt").read_text()
CR4 = 40 + 680
PCIDE, SMAP, VMXE = 1 << 17, 1 << 21, 1 << 13


@pytest.fixture(scope="module")
def facts():
    """The sample HVM guest with the registers of the PVH one, which is in long mode."""
    context = (ROOT / "examples" / "pvh1.ctx").read_bytes()
    with open_image(ROOT / "examples" / "hvm1.img.zst") as image:
        return image.facts._replace(context=context)


def using(facts, bits, *, carried=False):
    """The guest with bits of CR4 set, with its policy records or without."""
    context = bytearray(facts.context)
    value = int.from_bytes(context[CR4 : CR4 + 8], "little") | bits
    context[CR4 : CR4 + 8] = value.to_bytes(8, "little")
    given = facts._replace(context=bytes(context))
    return given if carried else given._replace(leaves=None, msrs=None)


def giving(bit):
    """The sample host with a bit of leaf 1's ECX in every policy."""

    def more(line):
        return f"{line[1]}{int(line[2], 16) | bit:08x}"

    text = re.sub(r"(?m)^(  00000001:ffffffff -> (?:\w{8}:){2})(\w{8})", more, AMD)
    return host_of_text(text, "with PCID")


@pytest.mark.parametrize("release", ["4.14.6", RELEASE, "4.20.4"])
@pytest.mark.parametrize(("bits", "name"), [(PCIDE, "pcid"), (SMAP, "smap")])
def test_it_depends_on_what_the_host_gives(facts, release, bits, name):
    verdict = judge(using(facts, bits)._replace(params=()), release)
    assert isinstance(verdict, Depends)
    (doubt,) = [text for text in verdict.depends if "gives the guest" in text]
    assert f" {name};" in doubt
    assert "else CPU[0]: CR4" in doubt


def test_a_known_host_decides(facts):
    guest = using(facts, PCIDE)
    assert isinstance(judge(guest, RELEASE, host=host_of_text(AMD, "amd")), Refused)
    assert isinstance(judge(guest, RELEASE, host=giving(1 << 17)), Accepted)


def test_a_policy_in_the_stream_decides(facts):
    verdict = judge(using(facts, PCIDE, carried=True), RELEASE)
    assert isinstance(verdict, Refused)
    assert verdict.record == "CPU[0]"


def test_a_leaf_that_the_stream_lacks_is_the_hosts(facts):
    """The record is merged onto the domain's default policy: SMAP is a bit of leaf 7."""
    guest = using(facts, SMAP, carried=True)
    leaves = tuple(entry for entry in guest.leaves if entry[0] != 7)
    assert isinstance(judge(guest._replace(leaves=leaves), RELEASE), Depends)


def test_what_no_host_gives_is_refused(facts):
    assert isinstance(judge(using(facts, VMXE), RELEASE), Refused)


def test_a_generous_host_has_what_the_release_gives_by_default():
    amd, intel = generous_hosts(RELEASE, pv=False)
    assert amd.hvm_default.amd
    assert not intel.hvm_default.amd
    assert intel.hvm_default.xcr0_max & 0xE7 == 0xE7
    (pv, _) = generous_hosts(RELEASE, pv=True)
    assert not pv.pv_default.has("pcid")
