"""Registers of an HVM guest's two vCPUs, held to what Xen's xenctx printed of it."""

import re

import pytest

from tests.memory import samples
from xensave import open as open_image

IMAGE, PRINTED = "hvm-hole.img.zst", samples.KEPT / "hvm-hole.xenctx"
REGISTER = re.compile(r"\b(r[a-z0-9]{1,2}|cr\d|dr\d|[cdes]s|flags): +([0-9a-f]+)")
BASED = re.compile(r"\b([fg]s): ([0-9a-f]+) @ ([0-9a-f]+)(?:/([0-9a-f]+))?")


def printed(number):
    """What xenctx printed of a vCPU, by our names."""
    text = "rip:" + PRINTED.read_text().split("rip:")[1 + number]
    values = {name: int(value, 16) for name, value in REGISTER.findall(text)}
    values["rflags"] = values.pop("flags")
    for name, selector, base, other in BASED.findall(text):
        values[name], values[f"{name}_base"] = int(selector, 16), int(base, 16)
        if other:
            values["kernel_gs_base"] = int(other, 16)
    return values


@pytest.mark.parametrize("number", [0, 1])
def test_registers_are_those_of_xenctx(number):
    theirs = printed(number)
    with open_image(samples.pair_bytes(IMAGE)) as image:
        assert image.vcpu_numbers == (0, 1)
        ours = image.vcpu(number).registers._asdict()
    assert len(theirs) == 37
    if not number:
        # The resume gave the guest its return value.
        assert (ours.pop("rax"), theirs.pop("rax")) == (0, 1)
    assert {name: ours[name] for name in theirs} == theirs
