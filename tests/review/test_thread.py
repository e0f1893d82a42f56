"""The change that began it: what its first version draws, and its second does not."""

import pytest

from xensave.review.run import review_patches
from xensave.review.session import Request, review, setting_of

FILE = "xen/include/public/arch-x86/hvm/save.h"


@pytest.fixture
def setting():
    return setting_of(Request())


def drawn(result):
    return [
        (o.finding.rule, o.finding.severity, str(o.finding.place))
        for each in result.reviews
        for o in each.objections
    ]


def test_first_version_draws_what_the_reviewers_said(v1, setting):
    result = review_patches([("v1.mbox", v1)], setting)
    assert drawn(result) == [
        ("RESERVATION_EXCEEDS_USE", "error", f"{FILE}:642"),
        ("RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED", "warning", f"{FILE}:642"),
        ("MAXIMUM_RAISED_FOR_NO_RECORD", "error", f"{FILE}:647"),
    ]
    headroom, adjacent, maximum = result.reviews[0].objections
    assert "35 - 40" in headroom.finding.message
    assert "22 - 34" in headroom.finding.remedy
    assert "with only 21 between" in adjacent.finding.message
    assert "0x4100" in adjacent.finding.remedy
    assert "+800 bytes" in maximum.finding.message
    assert "+20 iterations" in maximum.finding.message
    assert result.reviews[0].base == "4.13"


def test_cost_follows_the_release(v1, setting):
    older = review_patches([("v1", v1)], setting._replace(base="4.9"))
    assert older.reviews[0].base == "4.9"
    assert "+800 bytes" in drawn_message(older, "MAXIMUM_RAISED_FOR_NO_RECORD")


def drawn_message(result, rule):
    return next(
        o.finding.message
        for each in result.reviews
        for o in each.objections
        if o.finding.rule == rule
    )


def test_committed_version_draws_nothing(v2, setting):
    result = review_patches([("v2.mbox", v2)], setting)
    assert drawn(result) == []
    assert result.reviews[0].base == "4.13"


def test_the_numbers_in_use_may_be_stated_instead(v1):
    result = review(Request(inputs=("v1",), used=("22-40",)), lambda _: v1)
    assert [rule for rule, *_ in drawn(result)] == ["MAXIMUM_RAISED_FOR_NO_RECORD"]
    fewer = review(Request(inputs=("v1",), used=("22-30",)), lambda _: v1)
    assert "31 - 40" in drawn_message(fewer, "RESERVATION_EXCEEDS_USE")


def test_a_plain_diff_finds_the_release_by_its_lines(v1, setting):
    diff = v1[v1.index(b"diff --git") :]
    result = review_patches([("-", diff)], setting)
    assert result.reviews[0].base == "4.13"
    assert len(drawn(result)) == 3


def test_two_versions_are_compared(v1, v2, answer, setting):
    result = review_patches([("v2", v2), ("v1", v1 + answer)], setting)
    (progress,) = result.progress
    assert (progress.older, progress.newer) == (1, 2)
    assert [o.finding.rule for o in progress.settled] == [rule for rule, *_ in drawn(result)]
    assert progress.left == progress.added == ()
    carried = {(str(t), t.version, t.replied) for t in progress.carried}
    assert ("Reviewed-by: Wei Liu <wl@xen.org>", 1, True) in carried
    assert ("Signed-off-by: Paul Durrant <pdurrant@amazon.com>", 1, False) in carried
    assert progress.dropped == ()
    assert not result.fails("warning")


def test_a_trailer_that_the_newer_version_lost_is_named(v1, v2, answer, setting):
    bare = v2.replace(b"Reviewed-by: Wei Liu <wl@xen.org>\n", b"")
    (progress,) = review_patches([("a", v1 + answer), ("b", bare)], setting).progress
    assert [str(trailer) for trailer in progress.dropped] == ["Reviewed-by: Wei Liu <wl@xen.org>"]


def test_a_commit_is_the_version_after_the_mail(v1, v2, setting):
    text = v2.decode()
    diff = text[text.index("diff --git") : text.index("-- \n2.20")]
    show = (
        "commit 6e99520bf47f9de2dc59b9fbbc5f932fca3a8086\n"
        "Author: Paul Durrant <pdurrant@amazon.com>\n"
        "Date:   Fri Jan 3 17:06:03 2020 +0100\n\n"
        "    x86/save: reserve HVM save record numbers that have been consumed...\n\n"
        "    Reviewed-by: Wei Liu <wl@xen.org>\n"
        "    Acked-by: Jan Beulich <jbeulich@suse.com>\n\n" + diff
    )
    (progress,) = review_patches([("c", show.encode()), ("m", v1)], setting).progress
    assert (progress.older, progress.newer, len(progress.settled)) == (1, 2, 3)
    assert [str(trailer) for trailer in progress.gained] == [
        "Reviewed-by: Wei Liu <wl@xen.org>",
        "Acked-by: Jan Beulich <jbeulich@suse.com>",
    ]
