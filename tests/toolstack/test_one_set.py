"""`verify` and `check` cannot contradict each other, whatever the image.

A contradiction is one of two things, for an image and a point release:

(a) `verify` reports a rule that a reader of the release enforces, and `check` says "restores";
(b) `check` refuses for what the stream is: by a rule of the formats, or a row of the toolstack's
    that names the rules of the formats it stands for; and `verify` reports none of those. It is
    asked of the release that wrote the image: a newer stream breaks no rule of its own.

What else `check` refuses is no matter of the formats: values of a configuration, of params, of a
policy or of registers. Those rows name no rule of the formats.
"""

from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.corpus import seeds
from tests.rules_stream.broken import CASES
from tests.toolstack import test_restores as restores
from xensave.catalogue.dates import version
from xensave.catalogue.points import points_of
from xensave.container.framing import pack_record
from xensave.engine.verdict import Refused
from xensave.errors import Malformed, SourceError, Unsupported, XensaveError
from xensave.image import open_image
from xensave.image.input import JudgedInput
from xensave.rules.stream import verify
from xensave.rules.stream.formats.release import streamed
from xensave.rules.stream.table import rules
from xensave.rules.stream.whole import TRUNCATED
from xensave.source import open_source
from xensave.testing import frames, legacy, strategies, streams
from xensave.testing.pv import pv_stream
from xensave.toolstack.judge import Judge
from xensave.toolstack.restore import RULES
from xensave.toolstack.scope import PAGES

ROOT = Path(__file__).parents[2]
TARGETS = ("4.6.0", "4.8.5", "4.9.0", "4.10.0", "4.13.5", "4.14.0", "4.17.7", "4.21.2")
READERS = {rule.id: rule.readers for rule in rules()}
STANDS_FOR = {row.id: row.breaks for row in RULES}
judge = Judge(list(TARGETS), name_needs=False)


def contradictions(data, *, glance=False):
    """Yield what verify and check say against each other of an image, a sentence each.

    With a glance `check` says that it takes the records of pages for sound: that is no "restores".
    """
    try:
        with open_source(data) as source:
            found = {finding.rule for finding in verify(source)}
    except SourceError:
        return
    with open_image(data, glance=glance) as image:
        given = JudgedInput("case", None, None, image)
        own = image.facts.release
        for target in chain(TARGETS, points_of(own)[:1] if own is not None else ()):
            try:
                verdict = judge.judge(given, target)
            except (Malformed, Unsupported):
                continue
            enforced = sorted(rule for rule in found if _enforced(rule, target))
            if enforced and verdict.accepted and PAGES.sentence not in verdict.assumes:
                yield f"{target} restores, and its readers enforce {', '.join(enforced)}"
            if isinstance(verdict, Refused) and own is not None and target in points_of(own):
                meant = _formats(verdict.rule)
                # Where input ends verify says so, and not what is missing behind it.
                if meant and not found & {*meant, TRUNCATED.id}:
                    yield f"{target} refuses by {verdict.rule}, and verify finds {sorted(found)}"


def _enforced(rule, target):
    return any(reader.holds(version(target)) for reader in READERS[rule])


def _formats(rule):
    return (rule,) if rule in READERS else STANDS_FOR.get(rule, ())


def built():
    """Return images of every builder, some of them whole and some not."""
    found = dict(seeds()) | {
        f"broken {name}": data for name, data in CASES.items() if data is not None
    }
    for release in streamed():
        found[f"hvm {release}"] = streams.hvm_image(release)
        found[f"remus {release}"] = streams.checkpointed(release, 2)
        found[f"pv {release}"] = pv_stream(release, streams.memory(1))
    found["empty"] = streams.xl_image(streams.libxl_stream(b""))
    found["no model"] = streams.xl_image(
        streams.libxl_stream(
            streams.libxc_stream(streams.memory(1) + streams.hvm_tail("4.17")), b""
        )
    )
    found["pv as hvm"] = streams.xl_image(streams.libxl_stream(pv_stream("4.17")))
    found["no configuration"] = streams.xl_image(streams.libxl_stream(b""), b"")
    found["legacy"] = streams.xl_image(legacy.hvm_stream())
    found["libvirt"] = frames.libvirt_file(streams.libxl_stream(streams.libxc_stream(b"")))
    return found


BUILT = built()


@pytest.mark.parametrize("name", BUILT)
def test_neither_says_what_the_other_denies(name):
    assert not [*contradictions(BUILT[name])]


@pytest.mark.parametrize("name", [name for name in BUILT if "broken" in name])
def test_nor_at_a_glance(name):
    assert not [*contradictions(BUILT[name], glance=True)]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.[ic][mt][gx]*")), ids=str)
def test_nor_of_the_samples(path):
    assert not [*contradictions(path.read_bytes())]


@pytest.mark.parametrize("cls", ["record", "page", "libxl", "header", "config", "pvlayout"])
def test_nor_of_images_that_a_real_xen_was_asked(cls):
    made = 0
    for case in restores.CASES:
        if case["cls"] == cls and restores.base(case["base"]) is not None:
            made += 1
            assert not [*contradictions(restores.built(case))], case["name"]
    if not made:
        pytest.skip(f"no sample image for the {cls} cases")


small = st.one_of(
    strategies.images(),
    strategies.libxc_streams(),
    strategies.contexts(),
    st.sampled_from([data for data in BUILT.values() if len(data) < 1 << 16]),
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(strategies.damaged(small))
def test_nor_of_damaged_ones(data):
    # What is no image at all is none for either.
    with suppress(XensaveError):
        assert not [*contradictions(data)]


def test_rows_name_rules_that_there_are():
    named = {rule for row in RULES for rule in row.breaks}
    assert named
    assert named <= set(READERS)


def test_what_lies_beyond_a_limit_of_ours_is_not_refused():
    """Xen passes over an optional record of 100 MB; it is too long to be kept here."""
    long = pack_record(1 << 31 | 0x77, bytes(100 << 20))
    stream = streams.libxc_stream(streams.memory(1) + long + streams.hvm_tail("4.17"))
    with open_image(streams.xl_image(streams.libxl_stream(stream, streams.emulator()))) as image:
        verdict = judge.judge(JudgedInput("case", None, None, image), "4.17.7")
    assert verdict.accepted is None
    assert "more than" in verdict.depends[0]
