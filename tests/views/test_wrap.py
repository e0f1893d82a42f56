"""Text is laid out by the columns that a terminal gives it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from xensave.views.text.colours import painted
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import cells, hang, wrapped

WORDS = st.lists(st.text("ab東京é", min_size=1, max_size=12), min_size=1, max_size=20)


def columns(text):
    """Count as the East Asian Width of Unicode does, apart from the library that is used."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_a_wide_name_does_not_shift_the_columns_after_it():
    rows = [("東京", "1"), ("dom0", "2")]
    lines = list(table_lines(("name", "vcpus"), rows, 80, right=(1,)))
    assert len({columns(line) for line in lines}) == 1


def test_the_last_column_is_wrapped_by_its_width():
    lines = list(table_lines(("a", "b"), [("x", "東京 " * 12)], 30))
    assert max(map(columns, lines)) <= 30
    assert len(lines) == 4


def test_a_colour_takes_no_room():
    red = painted("refused", "bad", colour=True)
    assert cells(red) == len("refused")
    assert list(wrapped(f"{red} one", 11)) == [f"{red} one"]


@given(WORDS, st.integers(10, 60), st.integers(0, 8))
def test_wrapping_keeps_words_whole_and_lines_short(words, width, margin):
    indent = " " * margin
    lines = list(wrapped(" ".join(words), width, indent))
    assert " ".join(lines).split() == words
    for line in lines:
        assert columns(line) <= width or len(line.split()) == 1


@given(WORDS, st.integers(24, 60))
def test_hanging_text_keeps_its_words(words, width):
    label, column = "label", 12
    lines = hang(label, " ".join(words), width, column)
    assert " ".join(lines).split() == [label, *words]
    for line in lines[1:]:
        assert columns(line) <= width or len(line.split()) == 1
