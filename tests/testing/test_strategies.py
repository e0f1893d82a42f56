"""Properties over what the strategies make; the strategies reach what they promise."""

from random import Random

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS, run
from xensave import open as open_image
from xensave.container.events import RECORD
from xensave.container.walk import walk
from xensave.context import Context
from xensave.findings import ERROR
from xensave.rules.stream import verify
from xensave.source import open_source
from xensave.testing import strategies, streams
from xensave.testing.mutate import INJURIES, mutate

FEW = settings(max_examples=40)


@FEW
@given(strategies.contexts())
def test_a_context_comes_back_byte_for_byte(data):
    assert Context.parse(data).to_bytes() == data


@FEW
@given(st.one_of(strategies.libxc_streams(), strategies.images()))
def test_a_stream_comes_back_byte_for_byte_and_has_no_errors(data):
    events = list(walk(open_source(data)))
    assert b"".join(event.to_bytes() for event in events) == data
    assert not [found for found in verify(open_source(data)) if found.severity == ERROR]


@settings(max_examples=60)
@given(
    strategies.damaged(
        st.one_of(strategies.contexts(), strategies.libxc_streams(), strategies.images())
    ),
    st.sampled_from(sorted(TARGETS)),
)
def test_damage_raises_nothing_but_xensave_errors(data, name):
    run(TARGETS[name], data)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_streams_of_both_versions_and_checkpoints_are_made():
    def has(data, container):
        with open_image(data) as image:
            return container in image.containers

    for container in ("libxc v2", "libxc v3"):
        find(strategies.images(), lambda data, c=container: has(data, c))
    names = {event.name for event in walk(open_source(find(strategies.images(), checkpointed)))}
    assert "CHECKPOINT" in names


def checkpointed(data):
    return any(event.kind == RECORD and event.type == 0x0E for event in walk(open_source(data)))


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_the_same_for_the_same_seed(seed):
    data = streams.hvm_image()
    assert mutate(data, Random(seed)) == mutate(data, Random(seed)) != data


@pytest.mark.parametrize("injure", dict.fromkeys(INJURIES), ids=lambda injure: injure.__name__)
@pytest.mark.parametrize("size", [0, 1, 3, 7, 8, 100])
def test_each_injury_takes_any_size(injure, size):
    for seed in range(50):
        injure(bytearray(size), Random(seed))
