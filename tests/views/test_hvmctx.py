"""The hvmctx style equals what Xen 4.17's own xen-hvmctx printed of the same bytes.

tests/data/contexts are of real guests; tests/data/hvmctx were made to reach every line: `every`
has no zero byte, `zero` nothing but, `odd` unknown types, wrong lengths and bytes after END,
`beyond` a length past the end; `cut` and `noend` stop early.
"""

from itertools import pairwise
from pathlib import Path

import pytest

from xensave.errors import Malformed, Truncated
from xensave.views.records.hvmctx import hvmctx

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "contexts"
TEXTS = [
    path
    for folder in (DATA / "contexts", DATA / "hvmctx", SHARED)
    for path in sorted(folder.glob("*.txt"))
]


def printed(data):
    """What is printed before the end, or before the error, without the first line."""
    chunks = []
    error = None
    try:
        chunks.extend(hvmctx(data))
    except Truncated as found:
        error = found
    return "".join(chunks).split("\n", 1)[1], error


def test_there_are_texts():
    assert len(TEXTS) >= 6


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_equals_the_tools_text(path):
    text, error = printed(path.with_suffix(".ctx").read_bytes())
    assert text == path.read_text().split("\n", 1)[1]
    assert (error is not None) == (path.stem == "cut")


def test_what_is_missing_is_said():
    _, error = printed((DATA / "hvmctx" / "cut.ctx").read_bytes())
    assert (error.wanted, error.got, error.offset) == (1032, 100, 40)


def test_every_prefix_prints_the_start_of_the_whole():
    data = (DATA / "hvmctx" / "every.ctx").read_bytes()
    whole, _ = printed(data)
    texts = [printed(data[:length])[0] for length in range(1, len(data), 7)]
    assert all(whole.startswith(text) for text in texts)
    assert all(len(short) <= len(long) for short, long in pairwise(texts))


def test_a_length_that_would_go_round_for_ever_is_refused():
    data = b"\x63\0\0\0\xf8\xff\xff\xff" + bytes(64)
    with pytest.raises(Malformed, match="wraps"):
        list(hvmctx(data))
