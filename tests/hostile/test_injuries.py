"""Mutated inputs of a kind that is refused at its first wrong byte get past it often enough."""

import pytest

from fuzz.injuries import FITTING
from fuzz.million import case_of
from fuzz.targets import TARGETS, run

INPUTS = 100
BLUNT = ("assignment", "patchwork", "registry", "rules", "vmlinux", "waivers")


@pytest.mark.parametrize("name", BLUNT)
def test_a_fair_part_of_the_inputs_is_taken(name):
    assert TARGETS[name].kind in FITTING
    taken = sum(run(TARGETS[name], case_of(1, number, (name,)).data) for number in range(INPUTS))
    assert INPUTS // 20 <= taken < INPUTS
