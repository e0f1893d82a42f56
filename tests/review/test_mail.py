"""Mail in the forms in which patches come."""

import base64
import quopri
import re

import pytest

from xensave.errors import LimitExceeded, UsageError
from xensave.review.patches.mail import messages
from xensave.review.patches.patch import header_path, parse_diff
from xensave.review.run import review_patches
from xensave.review.session import Request, setting_of


def test_patchwork_mbox(v1):
    (message,) = messages(v1, "v1.mbox")
    assert message.message_id == "<20191218160926.12538-1-pdurrant@amazon.com>"
    assert message.title == "x86/save: reserve HVM save record numbers that have been consumed..."
    assert (message.version, message.number, message.total) == (1, 1, 1)
    assert message.date.isoformat() == "2019-12-18T16:09:25+00:00"
    (file,) = parse_diff(message.diff)
    assert file.blobs == ("b2ad3fcd74", "9c7b86678e")
    (hunk,) = file.hunks
    added = [(line.new, line.text) for line in hunk.lines if line.kind == "+"]
    assert added[0] == (642, "/* Range 22 - 40 reserved for Amazon */")
    assert added[-1] == (647, "#define HVM_SAVE_CODE_MAX 40")


def test_several_messages_and_a_sentence_that_begins_with_from(v1, v2, answer):
    talk = v1.replace(b"This patch is", b"From the start\nFrom me at 10:00:00 in 2019\nThis is")
    found = messages(talk + answer + v2)
    assert [bool(message.diff) for message in found] == [True, False, True]
    assert [message.version for message in found] == [1, 1, 2]
    assert [str(trailer) for trailer in found[1].trailers] == ["Reviewed-by: Wei Liu <wl@xen.org>"]


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_transfer_encodings_and_line_ends(v1, encoding, newline):
    head, body = v1.split(b"\n\n", 1)
    code = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring, "8bit": bytes}
    mail = head + f"\nContent-Transfer-Encoding: {encoding}".encode() + b"\n\n"
    mail += code[encoding](body)
    (message,) = messages(mail.replace(b"\n", newline))
    assert parse_diff(message.diff) == parse_diff(messages(v1)[0].diff)


def test_attached_patch(v2):
    text = v2.decode().split("\n\n", 1)[1]
    mail = (
        "From: A <a@example.org>\nSubject: [PATCH v3 2/7] x86/save: more\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="xx"\n\n--xx\nContent-Type: text/plain\n\nSee '
        "attached.\n--xx\nContent-Type: text/x-patch\nContent-Disposition: attachment\n\n"
        f"{text}\n--xx--\n"
    )
    (message,) = messages(mail.encode())
    assert (message.version, message.number, message.total) == (3, 2, 7)
    assert len(parse_diff(message.diff)) == 1


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-patch"])
def test_attached_patch_that_is_no_text(v2, kind):
    text = base64.encodebytes(v2.split(b"\n\n", 1)[1]).decode()
    mail = (
        "From: A <a@example.org>\nSubject: [PATCH] x86/save: more\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="xx"\n\n--xx\nContent-Type: text/plain\n\nSee '
        f"attached.\n--xx\nContent-Type: {kind}\nContent-Transfer-Encoding: base64\n\n"
        f"{text}\n--xx\nContent-Type: {kind}\n\n\x7fELF\n--xx--\n"
    )
    (message,) = messages(mail.encode())
    assert len(parse_diff(message.diff)) == 1


def test_a_diff_in_colour(v1):
    (plain,) = messages(v1)
    text = re.sub("^([-+].*)$", "\x1b[32m\\1\x1b[m", plain.diff, flags=re.MULTILINE)
    (coloured,) = messages(text.encode())
    assert parse_diff(coloured.diff) == parse_diff(plain.diff)


def test_a_patch_that_was_passed_on_is_a_patch(v1):
    def drawn(*mails):
        inputs = [(str(number), mail) for number, mail in enumerate(mails)]
        result = review_patches(inputs, setting_of(Request()))
        return [o.finding.rule for each in result.reviews for o in each.objections], result.answers

    passed_on = v1.replace(b"Subject: ", b"Subject: Fwd: Re: ", 1)
    assert drawn(passed_on) == drawn(v1)
    # Beside the patch itself it is an answer, and said to be left out.
    rules, answers = drawn(v1, passed_on.replace(b"Message-I", b"X-Message-I", 1))
    assert rules == drawn(v1)[0]
    assert len(answers) == 1


@pytest.mark.parametrize("where", [b"\n+#define HVM_SAVE", b"fine HVM_SAVE_CODE_MAX 40"])
def test_a_mail_that_is_cut_is_refused(v1, where):
    cut = v1[: v1.index(where)] + b"\n"
    with pytest.raises(UsageError, match=r"cut|damaged"):
        review_patches([("v1", cut)], setting_of(Request()))


def test_a_mail_that_is_cut_between_two_hunks_is_refused(v1):
    more = v1.replace(b"3 insertions", b"4 insertions")
    assert more != v1
    with pytest.raises(UsageError, match="is cut: its diffstat tells of 4 lines added"):
        review_patches([("v1", more)], setting_of(Request()))


@pytest.mark.parametrize("line", ["Header", "xen-4.17.0", "/home/a/xen.orig"])
def test_two_trees_side_by_side(line):
    text = (
        f"--- {line}/xen/arch/x86/hvm/rtc.c\t2023-01-01\n+++ new/xen/arch/x86/hvm/rtc.c\n"
        "@@ -1 +1 @@\n-a\n+b\n"
    )
    (file,) = parse_diff(text)
    assert (file.old, file.new) == ("xen/arch/x86/hvm/rtc.c", "xen/arch/x86/hvm/rtc.c")


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\1\2", b"From \n", b"Subject:\n\n", b"\xff\xfe From x", b"From a 10:00:00 2019\n\n"],
)
def test_anything_is_some_message(data):
    for message in messages(data):
        assert message.diff == ""


def test_stripped_blank_context_is_put_back(v1):
    page = v1[v1.index(b"diff --git") : v1.index(b"-- \n2.20")].rstrip()
    assert page.endswith(b"#endif /* __XEN_PUBLIC_HVM_SAVE_X86_H__ */")
    whole = parse_diff(messages(v1)[0].diff)
    assert parse_diff(page.decode()) == whole
    assert parse_diff(page.decode().replace("\n \n", "\n\n")) == whole


@pytest.mark.parametrize(
    "cut",
    [
        lambda text: text.replace(" * Largest type-code in use\n", "", 1),
        lambda text: text.replace("-639,10", "-639,12"),
        lambda text: text.replace("-639,10", "-639," + "9" * 5000),
        lambda text: text.replace("+#define", "#define"),
    ],
)
def test_damaged_diff_is_refused(v1, cut):
    text = messages(v1)[0].diff
    damaged = cut(text)
    assert damaged != text
    # A line of thousands of characters is refused before it is read.
    with pytest.raises((UsageError, LimitExceeded), match=r"damaged|more than 1000 characters"):
        parse_diff(damaged)


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("xen/include/public/hvm/save.h", "xen/include/public/hvm/save.h"),
        ("include/public/arch-x86/hvm/save.h", "xen/include/public/arch-x86/hvm/save.h"),
        ("xen/include/public/arch-arm/hvm/save.h", None),
        ("xen/arch/x86/include/asm/hvm/save.h", None),
        ("xen/include/public/hvm/params.h", None),
    ],
)
def test_which_files_are_save_headers(path, header):
    assert header_path(path) == header
