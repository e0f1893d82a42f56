"""The engine agrees: what was converted for a release, that release takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.convert.samples import RELEASES, ROOT, STREAMED, converted, images, to, without_pages
from xensave import catalogue
from xensave.context import Context
from xensave.convert import ConversionRefused, Settings
from xensave.engine import Domain, Hypervisor
from xensave.errors import XensaveError
from xensave.image import open_image
from xensave.testing.streams import restorable_context
from xensave.toolstack.restore import judge


def domain_of(context):
    return Domain("hvm" if "PIC" in context else "pvh", context.vcpus, viridian=True)


def accepts(data, target):
    with open_image(data, release=target) as image:
        return judge(image.facts, target).accepted


@pytest.mark.parametrize("target", RELEASES)
@pytest.mark.parametrize("source", RELEASES)
def test_every_pair_of_releases(source, target):
    data = to(restorable_context(source), target, source)
    assert accepts(data, target) is not False


@pytest.mark.parametrize("target", RELEASES)
def test_a_real_hvm_context_converts_for_every_release(target):
    data = (ROOT / "examples/hvm1.ctx").read_bytes()
    assert accepts(to(data, target, "4.17"), target) is not False


@pytest.mark.parametrize("target", RELEASES)
def test_a_real_pvh_context_converts_where_its_control_registers_may_be(target):
    """This guest runs with PKE on: no release before 4.7 lets a guest have that."""
    data = (ROOT / "examples/pvh1.ctx").read_bytes()
    if RELEASES.index(target) < RELEASES.index("4.7") and target != "3.1":
        with pytest.raises(ConversionRefused, match="CR4"):
            to(data, target, "4.17")
    else:
        assert accepts(to(data, target, "4.17"), target) is not False


@pytest.mark.parametrize("target", STREAMED)
@pytest.mark.parametrize("path", images(), ids=lambda path: path.name)
def test_every_real_image(path, target):
    try:
        data = to(without_pages(path), target)
    except ConversionRefused as refusal:
        assert RELEASES.index(target) < RELEASES.index("4.10")
        assert "no domain type pvh" in str(refusal)
        return
    with open_image(data) as image:
        verdict = judge(image.facts, target)
        first = judge(image.facts, target if target == "master" else f"{target}.0")
    assert verdict.accepted is True, verdict
    assert not first.fixups


@pytest.mark.parametrize("target", RELEASES[RELEASES.index("4.6") :])
@pytest.mark.parametrize("source", RELEASES)
def test_the_result_is_what_the_release_would_write_after_loading_the_original(source, target):
    """Where a release loads another's records itself, converting first changes nothing."""
    original = restorable_context(source)
    first = target if target == "master" else f"{target}.0"
    loaded = Hypervisor(first, domain_of(Context.parse(original, source)))
    if loaded.load(original).accepted is not True:
        return
    theirs = Context.parse(loaded.save(), target)
    ours = Context.parse(to(original, target, source), target)
    for record in ours.records:
        if catalogue.release(target).binding(record.typecode).handler:
            assert record.body == theirs[record.typecode, record.instance].body, record


@settings(max_examples=150)
@given(st.data())
def test_it_converts_to_what_is_accepted_or_refuses(data):
    """Whatever a context holds: convert never writes what the engine then refuses."""
    source = data.draw(st.sampled_from(RELEASES))
    target = data.draw(st.sampled_from(RELEASES))
    blob = bytearray(restorable_context(source))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        made, _ = converted(bytes(blob), Settings(target, source))
    except XensaveError:
        return
    assert accepts(made, target) is not False
