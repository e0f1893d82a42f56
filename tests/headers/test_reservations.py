"""Reservations in comments, and what is none."""

import pytest

from xensave.headers.text.comments import reservations


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/* Range 22 - 34 (inclusive) reserved for Amazon */", [(22, 34, "Amazon")]),
        ("/* Range 22 - 40 reserved for Amazon */", [(22, 40, "Amazon")]),
        ("/* Range 22-40 reserved for Amazon Web Services. */", [(22, 40, "Amazon Web Services")]),
        ("// Numbers 0x4100 to 0x41ff are reserved for Acme", [(0x4100, 0x41FF, "Acme")]),
        ("/*\n * Codes 50..59 (inclusive)\n * reserved for Acme\n */", [(50, 59, "Acme")]),
        ("/* Range 22 - 34 reserved for Amazon use only */", [(22, 34, "Amazon")]),
        ("/* Typecode 21 is reserved for Acme. */", [(21, 21, "Acme")]),
        ("/* 1 - 2 reserved for A; 3 - 4 reserved for B */", [(1, 2, "A"), (3, 4, "B")]),
        ("int x; /* bits 22 - 34 are used by Amazon */", []),
        ('char *s = "Range 22 - 34 reserved for Amazon";', []),
        ('char *s = "/*"; int Range; char *t = "22 - 34 reserved for A */";', []),
        ("char q = '\"'; /* Range 22 - 34 reserved for A */", [(22, 34, "A")]),
        ("int reserved; /* reserved for Amazon */", []),
    ],
)
def test_comments(text, found):
    assert [(item.first, item.last, item.owner) for item in reservations(text, "f")] == found


def test_lines():
    text = "int a;\n/* first\n * Range 3 - 4\n * reserved for A */\n/* Number 9 reserved for B */"
    assert [item.place.line for item in reservations(text, "f")] == [3, 5]
