"""Reservations in comments, and what is none."""

import pytest

from xensave.headers.text.comments import reservations


@pytest.mark.parametrize(
    ("text", "ranges"),
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
        ("/* Numbers 22 to 34 are kept for Amazon (see the thread). */", [(22, 34, "Amazon")]),
        ("/*\n * Range 22 - 34 (inclusive)\n * reserved for Amazon\n */", [(22, 34, "Amazon")]),
        ("// Range 22 - 34 (inclusive)\n// reserved for Amazon\n", [(22, 34, "Amazon")]),
        ("/* Codes 40 and up are for Acme, please stay away. */", [(40, 0xFFFF, "Acme")]),
        ("/* numbers 0x4100 onwards belong to Acme */", [(0x4100, 0xFFFF, "Acme")]),
        ("/* Codes 40+ reserved for Acme */", [(40, 0xFFFF, "Acme")]),
        (
            "/* Numbers 21, 35 and 37 are reserved for Acme */",
            [(21, 21, "Acme"), (35, 35, "Acme"), (37, 37, "Acme")],
        ),
        (
            "/* 22 - 24, 26 - 34 and 40 reserved for Amazon */",
            [(22, 24, "Amazon"), (26, 34, "Amazon"), (40, 40, "Amazon")],
        ),
        ("/* Reserved for Acme: 40 - 44 */", [(40, 44, "Acme")]),
        ("/* Acme uses record numbers 40 and 41. */", [(40, 40, "Acme"), (41, 41, "Acme")]),
        ("/* From 40 on reserved for Acme */", [(40, 0xFFFF, "Acme")]),
        ("/* Codes from 40 up are for Acme */", [(40, 0xFFFF, "Acme")]),
        ("/* Numbers starting at 0x4100 are reserved for Acme */", [(0x4100, 0xFFFF, "Acme")]),
        ("/* Codes >= 40 reserved for Acme */", [(40, 0xFFFF, "Acme")]),
        ("/* from 40 to 44 reserved for Acme */", [(40, 44, "Acme")]),
        ("/* Codes 22 - 34 are Amazon's */", [(22, 34, "Amazon")]),
        ("/* Amazon's range: 22 - 34 */", [(22, 34, "Amazon")]),
        (
            "/* Acme's numbers are 21, 35 and 37 */",
            [(21, 21, "Acme"), (35, 35, "Acme"), (37, 37, "Acme")],
        ),
        ("/* 1 is for Intel, 2 is for AMD */", []),
        ("/* This is Xen's 3rd version; 2 are AMD's */", []),
        ("/* bits 3 - 5 reserved by Intel */", []),
        ("/* Numbers 40 and up are reserved for future use */", []),
        ("int reserved; /* reserved for Amazon */", []),
    ],
)
def test_comments(text, ranges):
    assert [(item.first, item.last, item.owner) for item in reservations(text, "f")] == ranges


def test_lines():
    text = "int a;\n/* first\n * Range 3 - 4\n * reserved for A */\n/* Number 9 reserved for B */"
    assert [item.place.line for item in reservations(text, "f")] == [3, 5]


@pytest.mark.parametrize(
    "piece", ["1, ", "Range ", "A ", "1 - 2 reserved ", "/*", "record number "]
)
def test_long_comments_are_read_in_bounded_time(piece):
    # Each of these once began a match at every word; what repeats within one is bounded now.
    assert reservations("/* " + piece * 1500 + "*/", "f") == []
