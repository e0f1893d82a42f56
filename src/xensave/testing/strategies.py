"""Hypothesis strategies: contexts, streams and images of every release, whole or damaged.

>>> from hypothesis import given
>>> from xensave.testing import strategies
>>> @given(strategies.damaged(strategies.contexts()))
... def a_loader_survives(context): ...
"""

from __future__ import annotations

from random import Random

from xensave import catalogue
from xensave.container.framing import pack_record
from xensave.container.streams import hvm, libxc
from xensave.errors import MissingExtra
from xensave.rules.stream.formats.release import streamed
from xensave.testing import streams
from xensave.testing.mutate import mutate

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    raise MissingExtra("xensave.testing.strategies", "hypothesis", "testing") from error


def releases() -> SearchStrategy[str]:
    """Returns any release of the catalogue."""
    return st.sampled_from(catalogue.release_names())


@st.composite
def contexts(draw: st.DrawFn, release: str | None = None) -> bytes:
    """Returns a well-framed HVM context: some records of a release, with any bodies."""
    chosen = release or draw(releases())
    whole = hvm.RawContext.parse(streams.context(chosen, vcpus=draw(st.integers(1, 3))))
    header, *middle, end = whole.entries
    entries = [entry for entry in middle if draw(st.booleans())]
    filled = [entry._replace(body=_body(draw, len(entry.body))) for entry in entries]
    return hvm.pack_entries([header, *filled, end])


def _body(draw: st.DrawFn, size: int) -> bytes:
    return draw(st.randoms(use_true_random=False)).randbytes(size)


@st.composite
def libxc_streams(draw: st.DrawFn) -> bytes:
    """Returns a libxc stream of an HVM guest, with optional and unknown records in it."""
    release = draw(st.sampled_from(streamed()))
    body = draw(st.binary(max_size=32))
    strange = pack_record(1 << 31 | draw(st.integers(0, 0xFFFF)), body)
    records = streams.memory(draw(st.integers(0, 2))) + strange + streams.hvm_tail(release)
    return streams.libxc_stream(records, release, libxc.HVM)


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Returns an `xl save` image: plain, or checkpointed as Remus sends it."""
    if draw(st.booleans()):
        return streams.checkpointed(draw(st.sampled_from(streamed())), draw(st.integers(1, 2)))
    return streams.xl_image(streams.libxl_stream(draw(libxc_streams())))


@st.composite
def damaged(draw: st.DrawFn, whole: SearchStrategy[bytes]) -> bytes:
    """Returns what another strategy makes, with a few random injuries."""
    return mutate(draw(whole), Random(draw(st.integers(0, 2**32))))
