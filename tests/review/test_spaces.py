"""Patches to other numbered ABIs, alone and on a tree."""

import os
import subprocess

import pytest

from xensave.errors import UsageError
from xensave.headers.trees.tree import MemoryTree
from xensave.review.run import ReviewSetting, review_patches
from xensave.review.session import Request, review, setting_of
from xensave.review.spaces import on_trees
from xensave.review.trees.bases import Bases

XEN = os.environ.get("XENSAVE_XEN_GIT")
PARAMS = "xen/include/public/hvm/params.h"
LIBXC = "tools/libs/guest/xg_sr_stream_format.h"
MEMORY = "xen/include/public/memory.h"


def diff(path, *lines, at=230, date="Mon, 5 Dec 2022 10:00:00 +0000", title="a number"):
    old = sum(not line.startswith("+") for line in lines)
    new = sum(not line.startswith("-") for line in lines)
    head = f"From: A <a@example.org>\nDate: {date}\nSubject: [PATCH] {title}\n\n---\n"
    hunk = f"@@ -{at},{old} +{at},{new} @@\n" + "".join(f"{line}\n" for line in lines)
    return (head + f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunk}").encode()


def hits(*mails):
    result = review_patches(
        [(f"{n}.mbox", mail) for n, mail in enumerate(mails)], setting_of(Request())
    )
    return [
        (o.finding.rule, o.finding.place.line)
        for reviewed in result.reviews
        for o in reviewed.objections
    ]


def test_a_param_that_is_in_use():
    assert hits(
        diff(
            PARAMS,
            " */",
            " #define HVM_PARAM_ACPI_IOPORTS_LOCATION 19",
            "+#define HVM_PARAM_FOO 19",
            " ",
        )
    ) == [("SPACE_NUMBER_TAKEN", 232)]


def test_a_number_in_use_that_the_lines_do_not_show():
    assert hits(diff(PARAMS, " ", "+#define HVM_PARAM_FOO 35")) == [("SPACE_NUMBER_TAKEN", 231)]


def test_a_stream_record_in_use():
    assert hits(
        diff(LIBXC, " #define REC_TYPE_STATIC_DATA_END 0x00000010U", "+#define REC_TYPE_F 0x0eU")
    ) == [("SPACE_NUMBER_TAKEN", 231), ("SPACE_NUMBER_UNDOCUMENTED", 231)]


def test_an_enumerator_is_a_number_wherever_it_stands():
    for line in ("+enum { HVM_PARAM_FOO = 12 };", "+enum e { A = 1, HVM_PARAM_FOO = 12, B };"):
        assert hits(diff(PARAMS, " #define HVM_PARAM_MCA_CAP 38", line)) == [
            ("SPACE_NUMBER_TAKEN", 231)
        ]


def test_a_stream_record_that_moves_leaves_its_specification():
    old, new = ("#define REC_TYPE_X86_MSR_POLICY 0x0000001" + end for end in ("2U", "3U"))
    assert set(hits(diff(LIBXC, f"-{old}", f"+{new}"))) == {
        ("SPACE_NUMBER_MOVED", 230),
        ("SPACE_DOCUMENT_DIFFERS", 230),
    }


def test_the_specification_has_numbers_too():
    spec = "docs/specs/libxc-migration-stream.pandoc"
    shown = "              0x00000012: X86_MSR_POLICY"
    assert hits(diff(spec, shown, "+", "+             0x00000012: FOO")) == [
        ("SPACE_NUMBER_TAKEN", 232),
        ("SPACE_NUMBER_UNDOCUMENTED", 232),
    ]
    # The header does not have it yet: a note.
    assert hits(diff(spec, shown, "+", "+             0x00000013: FOO")) == [
        ("SPACE_NUMBER_UNDOCUMENTED", 232)
    ]


def test_a_reservation_is_of_the_space_that_it_stands_at():
    context = " #define XENMAPSPACE_dev_mmio     5 /* device mmio region */"
    kept = "+/* Range 0x80000000 - {} reserved for Citrix */"
    assert hits(diff(MEMORY, context, kept.format("0x80000001"))) == []
    assert hits(diff(MEMORY, context, kept.format("0x8000000f"))) == [
        ("SPACE_RESERVATION_EXCEEDS_USE", 231)
    ]


def test_a_mapspace_of_citrix():
    context = " #define XENMAPSPACE_dev_mmio     5 /* device mmio region */"
    taken = diff(MEMORY, context, "+#define XENMAPSPACE_fancy 0x80000000")
    assert hits(taken) == [("SPACE_NUMBER_TAKEN_FROM_OWNER", 231)]
    brought = diff(MEMORY, context, "+#define XENMAPSPACE_vlapic 0x80000000")
    assert hits(brought) == []


def test_old_drivers_shared_info_takes_upstreams_number():
    """The hunk of xen-legacy-win-xenmapspace-quirks.patch that xen-devel still speaks of."""
    assert hits(
        diff(
            MEMORY,
            " #define XENMAPSPACE_gmfn         2 /* GMFN */",
            " #define XENMAPSPACE_gmfn_range   3 /* GMFN range, XENMEM_add_to_physmap only. */",
            "+#define XENMAPSPACE_shared_info_old_xs   4 /* shared info page. */",
            "+#define XENMAPSPACE_vlapic      0x80000000 /* per-vcpu vlapic regs page */",
            "+#define XENMAPSPACE_physical    0x80000001 /* Remap a page. */",
        )
    ) == [("SPACE_NUMBER_TAKEN", 232)]


def test_the_next_number_with_its_limit():
    assert (
        hits(
            diff(
                PARAMS,
                " #define HVM_PARAM_MCA_CAP 38",
                "+#define HVM_PARAM_FOO 39",
                "-#define HVM_NR_PARAMS 39",
                "+#define HVM_NR_PARAMS 40",
            )
        )
        == []
    )


def test_a_limit_that_stays_behind():
    rule = "SPACE_NUMBER_BEYOND_LIMIT"
    assert hits(diff(PARAMS, " #define HVM_PARAM_MCA_CAP 38", "+#define HVM_PARAM_FOO 39")) == [
        (rule, 231)
    ]


def test_a_comment_that_begins_before_the_hunk():
    assert hits(diff(PARAMS, "  * see below", "+ * #define HVM_PARAM_FOO 19", "  */")) == []


def test_a_value_that_the_lines_do_not_tell_is_refused():
    with pytest.raises(UsageError, match=r"params\.h:231: HVM_PARAM_FOO is 'SOMETHING'"):
        hits(diff(PARAMS, " ", "+#define HVM_PARAM_FOO SOMETHING"))


def test_a_series_is_held_against_what_it_left():
    first = diff(PARAMS, " ", "+#define HVM_PARAM_A 3", title="x 1/2")
    second = diff(PARAMS, " ", "+#define HVM_PARAM_B 3", title="y 2/2")
    first = first.replace(b"[PATCH] x 1/2", b"[PATCH 1/2] x")
    second = second.replace(b"[PATCH] y 2/2", b"[PATCH 2/2] y")
    assert hits(first, second) == [("SPACE_NUMBER_TAKEN", 231)]


def test_a_tree():
    before = "#define HVM_PARAM_A 1\n#define HVM_NR_PARAMS 39\n"
    trees = [MemoryTree({PARAMS: before}), MemoryTree({PARAMS: before.replace("A 1", "B 1\n")})]
    rules = [o.finding.rule for o in on_trees(*trees, Bases())]
    assert "SPACE_NUMBER_REUSED" in rules
    assert on_trees(trees[0], trees[0], Bases()) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "drawn"),
    [
        # Of a tree of 4.17, whose successors took 19: the tree counts, not the calendar.
        (
            "xen/include/public/elfnote.h",
            "#define XEN_ELFNOTE_MAX XEN_ELFNOTE_PHYS32_ENTRY",
            "#define XEN_ELFNOTE_FOO 19\n#define XEN_ELFNOTE_MAX XEN_ELFNOTE_FOO",
            [],
        ),
        (
            "xen/include/public/domctl.h",
            "#define XEN_DOMCTL_INTERFACE_VERSION 0x00000015",
            "#define XEN_DOMCTL_INTERFACE_VERSION 0x00000016",
            [],
        ),
        (
            "xen/include/public/arch-arm/hvm/save.h",
            "#endif",
            "DECLARE_HVM_SAVE_TYPE(FOO, 2, struct foo);\n#define HVM_SAVE_CODE_MAX 40\n#endif",
            ["SPACE_LIMIT_RAISED_FOR_NO_NUMBER"],
        ),
        (
            "xen/include/public/arch-arm/hvm/save.h",
            "#endif",
            "DECLARE_HVM_SAVE_TYPE(FOO, 2, struct foo);\n"
            "DECLARE_HVM_SAVE_TYPE(BAR, 2, struct bar);\n#endif",
            ["SPACE_NUMBER_TAKEN"],
        ),
        (
            "docs/designs/xenstore-migration.md",
            "0x00000005: NODE_DATA",
            "0x00000005: NODE_DATA                  |\n|        | 0x00000005: FOO_DATA",
            ["SPACE_NUMBER_TAKEN"],
        ),
    ],
)
@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED")
def test_changes_to_a_real_tree(path, old, new, drawn):
    from xensave.headers.trees.overlay import Overlay
    from xensave.headers.trees.tree import GitRepository, GitTree

    with GitRepository(XEN) as repository:
        tree = GitTree(repository, "RELEASE-4.17.0")
        text = tree.read(path)
        assert old in text
        changed = Overlay(tree, {path: text.replace(old, new, 1)}, "changed")
        assert [o.finding.rule for o in on_trees(tree, changed, Bases(), paths=[path])] == drawn


def test_headers_alone_in_a_directory():
    old, new = (
        MemoryTree({"hvm/params.h": f"#define HVM_PARAM_STORE_PFN {number}\n"}) for number in (1, 3)
    )
    assert [o.finding.rule for o in on_trees(old, new, Bases())] == ["SPACE_NUMBER_MOVED"]


@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED")
@pytest.mark.parametrize(
    ("commit", "rule", "line"),
    [
        # Upstream's own: 421b4ddbc1 "Fix mis-allocation of number" came six weeks later.
        ("0482af4d96", "SPACE_NUMBER_TAKEN", 457),
        ("fa52adbca3", "SPACE_NUMBER_TAKEN", None),
    ],
)
def test_upstreams_mistakes(commit, rule, line):
    request = Request(inputs=(f"{commit}~1..{commit}",), tree=XEN)
    [reviewed] = review(request, lambda _: b"").reviews
    drawn = {o.finding.rule: o.finding.place.line for o in reviewed.objections}
    assert rule in drawn
    assert line in (None, drawn[rule])


@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED")
@pytest.mark.parametrize("tag", ["RELEASE-4.10.0", "RELEASE-4.17.0", "RELEASE-4.22.0"])
def test_a_release_as_it_stands_draws_nothing(tag):
    from xensave.headers.trees.tree import GitRepository, GitTree

    with GitRepository(XEN) as repository:
        assert on_trees(None, GitTree(repository, tag), Bases()) == []


@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED")
def test_a_mail_of_a_commit_says_what_its_range_says():
    """1 patch, both ways: alone and on its tree."""
    show = ["git", "-C", XEN, "show", "-U3", "0482af4d96"]
    mail = subprocess.run(show, capture_output=True, check=True).stdout
    setting = ReviewSetting(Bases(), base="3.4")
    [reviewed] = review_patches([("0482af4d96", mail)], setting).reviews
    assert [o.finding.rule for o in reviewed.objections] == ["SPACE_NUMBER_TAKEN"]
