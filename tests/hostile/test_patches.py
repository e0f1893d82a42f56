"""Patches that someone sent: refused in a line, or judged in time that grows with their length."""

import sys
from contextlib import suppress

import pytest

from xensave.errors import LimitExceeded, XensaveError
from xensave.review.run import review_patches
from xensave.review.session import Request, setting_of
from xensave.views.review.reply import reply
from xensave.views.review.text import text

FILE = "xen/include/public/arch-x86/hvm/save.h"
HEAD = [" #define CPU_MSR_CODE  20"]


def diff(lines):
    old = sum(not line.startswith("+") for line in lines)
    new = sum(not line.startswith("-") for line in lines)
    head = f"--- a/{FILE}\n+++ b/{FILE}\n@@ -100,{old} +100,{new} @@\n"
    return (head + "\n".join(lines) + "\n").encode()


def reviewed(data):
    return review_patches([("p", data)], setting_of(Request(base="4.17")))


def struct(count):
    return [*HEAD, "+struct hvm_x {", *(f"+    uint64_t f{n};" for n in range(count)), "+};"]


def records(count):
    return HEAD + [
        line
        for n in range(count)
        for line in (
            f"+struct hvm_x{n} {{", "+    uint64_t a;", "+};",
            f"+DECLARE_HVM_SAVE_TYPE(X{n}, {n + 21}, struct hvm_x{n});",
        )
    ]  # fmt: skip


def ranges(count):
    return HEAD + [
        f"+/* Range {2 * n + 40} - {2 * n + 41} reserved for O{n} */" for n in range(count)
    ]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(struct(50_000), id="fields"),
        pytest.param(records(3000), id="records"),
        pytest.param(ranges(3000), id="reservations"),
        pytest.param([*HEAD, "+/* " + "1, " * 50_000 + " */"], id="numbers"),
        pytest.param([*HEAD, "+struct hvm_x {", *["+struct {"] * 3000], id="braces"),
        pytest.param([*HEAD, *["+#if 1"] * 15_000], id="conditions"),
        pytest.param([*HEAD, '+#include "/dev/zero"'], id="device"),
        pytest.param([*HEAD, "+uint64_t a" + ", b" * 50_000 + ";"], id="declarators"),
        pytest.param([*HEAD, "+/* " + "reserved " * 200_000 + "*/"], id="words"),
        pytest.param([*HEAD, "+" + '"\\' * 500_000], id="quotes"),
        pytest.param([*HEAD, *["-#if 1"] * 5000, *["-#endif"] * 5000], id="nested"),
        pytest.param([*HEAD, *["+" + "{}" * 450] * 500], id="statements"),
        pytest.param([*HEAD, *[" };", "-};"] * 2000], id="structs"),
        pytest.param([*HEAD, "+/*", *["+" + "reserved " * 30] * 19_000, "+*/"], id="lines"),
    ],
)
def test_what_is_too_much_is_refused(lines):
    with pytest.raises(XensaveError):
        reviewed(diff(lines))


def test_too_many_hunks_are_refused():
    hunks = "".join(
        f"@@ -{10 * n},1 +{10 * n},2 @@\n uint64_t rip;\n+uint64_t a;\n" for n in range(1, 502)
    )
    with pytest.raises(LimitExceeded, match="hunks"):
        reviewed(f"--- a/{FILE}\n+++ b/{FILE}\n{hunks}".encode())


def steps(work):
    """How many lines a piece of work runs, loops within a line too, and not in the parser of C."""
    count = 0

    def tell(_frame, _event, _arg):
        nonlocal count
        count += 1
        return tell

    sys.settrace(tell)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def numbers(count):
    return HEAD + [f"+#define A{n}_CODE {n + 21}" for n in range(count)]


def constants(count):
    shown = [f" #define A{n} {n}" for n in range(count)]
    return [*HEAD, *shown, "+#define B 1", *shown]


def bindings(count):
    return [*HEAD, "+#define B 1"] + [
        f"{kind}#define DECLARE_HVM_SAVE_TYPE{n}({kind == '+'}) struct a {{ int a; }};"
        for n in range(count)
        for kind in "-+"
    ]


def empty_branches(count):
    return [*HEAD, "-#if 1", *["-#else"] * count, "-#endif", "+#define B 1"]


def continued(count):
    return [*HEAD, "+#define B \\", *["+  1 + \\"] * count, "+  1"]


def unfinished(count):
    return [*HEAD, "+static inline int f(int a,", *["+    int a,"] * count, "+    int b);"]


def brackets(count):
    return [*HEAD, "+int f(", *["+  enum {"] * count]


@pytest.mark.parametrize(
    ("make", "size"),
    [(struct, 100), (records, 100), (ranges, 25), (numbers, 100), (constants, 100), (bindings, 100),
     (empty_branches, 100), (continued, 100), (unfinished, 100), (brackets, 100)],
)  # fmt: skip
def test_work_grows_with_the_length_of_the_patch(make, size):
    # What is done once, for a patch that is as long, is not counted.
    judged(make(size))
    one, two, four = (steps(lambda n=n: judged(make(n))) for n in (size, 2 * size, 4 * size))
    assert four - two < 2.5 * (two - one)


def judged(lines):
    """Have a patch judged and shown, or refused by its lines."""
    with suppress(XensaveError):
        result = reviewed(b"From: a@example.org\nSubject: [PATCH] x\n\nx\n---\n" + diff(lines))
        text(result)
        reply(result)


def test_a_mail_of_parts_within_parts_is_refused():
    parts = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(99))
    mail = f"From: a@example.org\nSubject: [PATCH] x\n{parts}Content-Type: text/plain\n\nx\n"
    with pytest.raises(XensaveError, match="parts within parts"):
        reviewed(mail.encode())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text.replace("@@ -639,10 +639,12 @@", "@@ @@"), "no line numbers"),
        (
            lambda text: text.replace("diff --git a/", "diff --cc ").replace("@@", "@@@"),
            "combined diff",
        ),
        (
            lambda text: text[: text.index("--- a/")] + "GIT binary patch\nliteral 3\nabc\n\n",
            "binary patch",
        ),
        (
            lambda text: text.replace(
                "index b2ad3fcd74..9c7b86678e 100644\n",
                "similarity index 90%\nrename from xen/include/public/arch-x86/hvm/save.h\n"
                "rename to xen/include/public/arch-x86/hvm/state.h\n",
            ).replace("b/xen/include/public/arch-x86/hvm/save.h", "b/xen/include/public/x/state.h"),
            "renamed",
        ),
    ],
)
def test_a_header_whose_lines_cannot_be_read_is_refused(spoil, says):
    with open("examples/reserve-v1.mbox", encoding="utf-8") as file:
        text = file.read()
    spoiled = spoil(text)
    assert spoiled != text
    with pytest.raises(XensaveError, match=says):
        reviewed(spoiled.encode())
