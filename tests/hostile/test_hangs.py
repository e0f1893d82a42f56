"""Texts that nearly match, or repeat: each kept a command busy for minutes or for ever once.

Nothing is measured. What runs on is ended after a minute of processor time, a thousand times what
it takes, so that a fault fails and the suite goes on.
"""

import base64
import signal
from contextlib import suppress

import pytest

from xensave.container.frames.libvirt import parse_xml
from xensave.errors import LimitExceeded, Malformed, UsageError, XensaveError
from xensave.headers.text import comments
from xensave.headers.text.registrations import REGISTER, TABLE, read_handlers, registrations
from xensave.policy.hostfile import host_of_text
from xensave.review.alone.statements import facts
from xensave.review.patches.apply import apply
from xensave.review.patches.mail import HEADER, LINES, PARTS, messages
from xensave.review.patches.patch import CONTEXT, REMOVED, FilePatch, Hunk, PatchLine, parse_diff

SECONDS = 60
MANY = 40_000
SEPARATOR = "From a@b Mon Jan  1 10:00:00 2024\n"


@pytest.fixture(autouse=True)
def _ended():
    def end(*_):
        raise AssertionError("runs on and on")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def mail(subject="[PATCH] a", body="text", headers=""):
    return f"{SEPARATOR}From: A <a@b.c>\nSubject: {subject}\n{headers}\n{body}\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("From a " + "1:11:11 " * MANY, id="separator"),
        pytest.param("Subject: a\n" + "  b\n" * MANY + "x", id="folded"),
        pytest.param("A: b\n  c\n  d\n" * MANY + "x", id="headers"),
        pytest.param(mail("[" * MANY), id="brackets"),
        pytest.param(mail("[PATCH" * MANY), id="open tags"),
        pytest.param(mail("[" + "PATCH " * MANY), id="an open tag"),
        pytest.param(mail("=?utf-8?q?a?= " * MANY), id="encoded words"),
        pytest.param(mail(headers="To: " + "a@b, " * MANY + "\n"), id="addresses"),
        pytest.param(mail(headers='Cc: ' + '"a" ' * MANY + "\n"), id="quoted names"),
        pytest.param(mail(body="Acked-by: <" + "@" * MANY), id="trailer"),
        pytest.param(mail(body="Acked-by:" + " " * MANY + "<"), id="blank trailer"),
        pytest.param(mail(body="Acked-by: " + "<" * MANY + "@"), id="bracket trailer"),
    ],
)  # fmt: skip
def test_a_mail_that_nearly_matches_is_read(text):
    for message in messages(text.encode()):
        assert not message.diff
        assert (message.title, message.trailers) is not None


@pytest.mark.parametrize(
    "text",
    [
        mail(headers="Content-Type: text/plain; " + "a=b; " * MANY + "\n"),
        mail(headers="Content-Type: text/plain;\n" + " a=b;\n" * HEADER),
        mail(body="--x\nContent-Type: text/plain\n\na\n" * (PARTS + 1)),
    ],
)
def test_a_mail_that_takes_the_square_of_its_length_is_refused(text):
    with pytest.raises(LimitExceeded, match="a mail"):
        messages(text.encode())


def encoded(count):
    body = base64.encodebytes(b"\n" * count).decode()
    return mail(headers="Content-Transfer-Encoding: base64\n", body=body)


COMMIT = f"commit {'a' * 40}\nAuthor: A <a@b.c>\n\n    a\n\n"


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(mail(body=f"a{end}" * LINES), id=repr(end)) for end in "\n\r\v\u2028"),
        pytest.param(mail(headers="a:b\n" * LINES), id="headers"),
        pytest.param(mail(body="a\n") * (LINES // 4), id="mails"),
        pytest.param(encoded(LINES + 1), id="base64"),
        pytest.param(encoded(LINES // 2) + "\n" + encoded(LINES // 2 + 2), id="base64 twice"),
        pytest.param(COMMIT + "a\n" * LINES, id="commit"),
        pytest.param("--- a\n+++ b\n@@ -0,0 +1 @@\n+\n" * (LINES // 4 + 1), id="diffs"),
    ],
)
def test_more_lines_than_a_tree_changes_in_years_are_refused(text):
    with pytest.raises(LimitExceeded, match=f"more than {LINES} lines"):
        messages(text.encode())


def test_a_diff_of_as_many_lines_as_there_may_be_is_read():
    text = mail(body=(head := "--- a\n+++ b\n") + "+\n" * (LINES - 10))
    (message,) = messages(text.encode())
    assert message.diff == head + "+\n" * (LINES - 10) + "\n"


@pytest.mark.parametrize("kind", ["message/rfc822", "multipart/mixed; boundary=a"])
def test_a_mail_within_mails_without_end_is_refused(kind):
    with pytest.raises(Malformed, match="parts within parts"):
        messages(mail(headers=f"Content-Type: {kind}\n\n" * 5000).encode())


def test_what_mails_have_is_read_as_before():
    body = "Acked-by:  A <a@b.c>\nTested-by: d@e.f # x\n"
    text = f"Subject: [Xen-devel] [PATCH\n v2 1/3] t\nTo: b\n\n{body}"
    for data in (text, SEPARATOR + text, SEPARATOR + text + "\n" + SEPARATOR + text):
        for message in messages(data.encode()):
            assert (message.version, message.number, message.total) == (2, 1, 3)
            assert message.title == "[Xen-devel] t"
            assert [trailer.who for trailer in message.trailers] == ["A <a@b.c>", "d@e.f"]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["int a" + ", " * MANY + "!;"], id="declarators"),
        pytest.param(["int a[1]" + " [1]" * MANY + "!;"], id="dimensions"),
        pytest.param(["}" + " [1]" * MANY + "!;"], id="closing"),
        pytest.param(["#if defined \\", *[" \\"] * MANY, "!"], id="condition"),
        pytest.param(["DECLARE_HVM_SAVE_TYPE(a," + " a" * MANY + "!;"], id="declaration"),
        pytest.param(["#define A \\", "union" + " " * MANY + "!"], id="union"),
    ],
)  # fmt: skip
def test_lines_of_a_hunk_that_nearly_match_are_read(lines):
    assert facts(lines)


@pytest.mark.parametrize(
    "comment",
    [
        pytest.param("uses numbers\n" + "\n".join(["Z.-" * 300] * 400), id="one word"),
        pytest.param("reserved\n" + "\n".join(["Z " * 400] * 400), id="words"),
        pytest.param("codes 1 reserved\n" + "\n" * MANY, id="blank lines"),
    ],
)
def test_a_comment_that_nearly_reserves_is_read(comment):
    assert comments.reservations(f"/* {comment} */", "a.h") == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{REGISTER}(\n" * MANY, id="open"),
        pytest.param(f"{REGISTER}(\n" * MANY + ")" * MANY, id="nested"),
        pytest.param(f"{REGISTER}(" + "a\n" * MANY + ", b)", id="long"),
        pytest.param(f"{REGISTER}(A, b, c" + "(" * MANY, id="argument"),
    ],
)
def test_registrations_that_nest_or_stay_open_are_read(text):
    assert len(registrations("a.c", text)) <= 1


def test_more_registrations_than_any_source_has_are_refused():
    text = "".join(f"{REGISTER}(A{n}, s, l{n}, 1, HVMSR_PER_DOM);\n" for n in range(MANY))
    with pytest.raises(LimitExceeded, match=r"a\.c: registers more than 256 records"):
        registrations("a.c", text)


@pytest.mark.parametrize("text", ["struct" + "\n" * MANY, "struct\n" * MANY, "{\n" * MANY])
def test_a_handler_table_that_never_began_is_refused(text):
    with pytest.raises(Malformed, match=f"{TABLE} is no array of a struct"):
        read_handlers({"save.c": f"{text}}} {TABLE}["})


def test_a_handler_table_within_many_structs_is_read():
    text = "struct {\n" * MANY + f"const char *name; }} {TABLE}["
    assert read_handlers({"save.c": text}).entry_size == 8


@pytest.mark.parametrize("line", ["a" + " " * MANY, "f" * MANY, "00000000-" * MANY, "a " * MANY])
def test_a_hosts_line_that_is_nearly_words_is_refused(line):
    with pytest.raises(Malformed, match="no policy of a host"):
        host_of_text(line, "host")


@pytest.mark.parametrize(
    "line",
    ["1fcbfbff-f7fa3203", "HVM Max : 1fcbfbff:f7fa3203", "features 1fcbfbff-f7fa3203",
     "features_hvm:  1fcbfbff-f7fa3203", "  HVM Max    1fcbfbff:f7fa3203  "],
)  # fmt: skip
def test_a_hosts_words_are_read_with_a_name_or_without(line):
    assert host_of_text(line, "host").hvm_max.has("sse3")


def hunk(count, last):
    lines = [PatchLine(CONTEXT, "x", n, n) for n in range(1, count)]
    return Hunk("@@ -1 +1 @@", (*lines, PatchLine(REMOVED, last, count, None)), 1, "")


@pytest.mark.parametrize("last", ["y", "x"])
def test_a_hunk_that_matches_nearly_everywhere_is_placed_or_refused(last):
    patch = FilePatch("a.h", "a.h", (hunk(MANY // 4, last),))
    with suppress(XensaveError):
        after, _ = apply(patch, "x\n" * MANY)
        assert last == "x"
        assert after == "x\n" * (MANY - 1)
        return
    assert last == "y"


def test_a_hunk_goes_to_the_nearest_of_two_places():
    lines = ["a", "x", *["b"] * 10, "x", "c"]
    for start, taken in ((1, 1), (5, 1), (9, 12), (14, 12)):
        moved = Hunk("@@", (PatchLine(REMOVED, "x", start, None),), start, "")
        after, _ = apply(FilePatch("a.h", "a.h", (moved,)), "\n".join(lines))
        assert after.split("\n") == lines[:taken] + lines[taken + 1 :]


def test_a_hunk_behind_one_that_took_every_line_is_refused():
    def took(line, number):
        return Hunk("@@", (PatchLine(REMOVED, line, number, None),), number, "")

    with pytest.raises(UsageError, match="has no line of @@"):
        apply(FilePatch("a.h", "a.h", (took("a", 1), took("b", 2))), "a")


def test_a_path_longer_than_any_file_has_is_none_of_ours():
    path = "public/" * MANY
    with suppress(XensaveError):
        assert parse_diff(f"--- a/{path}x.h\n+++ b/{path}x.h\n@@ -1 +1 @@\n-a\n+b\n")


def test_text_between_elements_is_put_together_once():
    assert len(parse_xml(b"<a>" + b"x<b/>" * MANY + b"</a>").text) == MANY
