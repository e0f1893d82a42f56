"""Patches without a tree, on a release's stand-in, and with one, on whole headers."""

import pytest

from xensave import catalogue
from xensave.errors import UsageError
from xensave.headers.save import read_tree
from xensave.headers.trees.tree import MemoryTree
from xensave.review.alone.standin import PROLOGUE, standin
from xensave.review.run import review_patches
from xensave.review.session import Request, review, setting_of
from xensave.review.trees.bases import Bases

UNSEEN = ("RECORD_REGISTERED_BY_NO_HANDLER", "note")
FILE = "xen/include/public/arch-x86/hvm/save.h"


def diff(*lines, start=100, section=""):
    old = sum(not line.startswith("+") for line in lines)
    new = sum(not line.startswith("-") for line in lines)
    head = f"--- a/{FILE}\n+++ b/{FILE}\n@@ -{start},{old} +{start},{new} @@ {section}\n"
    return (head + "\n".join(lines) + "\n").encode()


def drawn(data, **request):
    result = review(Request(inputs=("p",), **request), lambda _: data)
    return [
        (o.finding.rule, o.finding.place.line, o.removed)
        for each in result.reviews
        for o in each.objections
        if (o.finding.rule, o.finding.severity) != UNSEEN
    ]


@pytest.mark.parametrize("attribute", ["", "__attribute__((packed)) "])
def test_a_struct_with_an_attribute_before_its_brace_is_no_function(attribute):
    opens = f"+typedef struct {attribute}{{"
    lines = [opens, "+    uint64_t b;", "+    uint8_t a;", "+} hvm_x;"]
    data = diff(" #define CPU_MSR_CODE  20", *lines, "+DECLARE_HVM_SAVE_TYPE(X, 21, hvm_x);")
    rules = {rule for rule, _, _ in drawn(data, base="4.17")}
    assert ("STRUCT_SIZE_NOT_MULTIPLE_OF_EIGHT" in rules) == bool(attribute)
    assert "STRUCT_DIFFERS_BETWEEN_ABIS" in rules or attribute


def test_headers_alone_do_not_tell_whether_a_handler_loads_a_record():
    result = review(Request(inputs=("p",), base="4.17"), lambda _: with_new(21, 21))
    (note,) = result.reviews[0].objections
    assert (note.finding.rule, note.finding.severity) == UNSEEN
    assert "METER (21) was not looked at" in note.finding.message


@pytest.mark.parametrize("name", catalogue.release_names())
def test_stand_in_of_every_release_has_its_numbers_and_sizes(name):
    release = Bases().release(name)
    sheet = standin(release)
    rows = [row for struct in sheet.structs.values() for row in struct.rows] + sheet.outer
    text = PROLOGUE + "".join(f"{row.fact.text}\n" for row in rows)
    found = read_tree(MemoryTree({"hvm/save.h": text}, name))
    assert {(r.name, r.typecode, r.layout.size) for r in found.records} == {
        (b.name, b.typecode, catalogue.layout(b.layout).size) for b in release.bindings
    }
    assert found.code_max == release.code_max
    kept = [(r.first, r.last, r.owner) for r in found.reservations]
    assert kept == [(r.first, r.last, r.owner) for r in release.reservations]
    assert found.frame.descriptor.size == 8


def test_a_field_inserted_in_the_middle():
    patch = diff(
        "     uint32_t timer_divisor;", "+    uint64_t extra;", "     uint64_t tdt_msr;", " };",
        section="struct hvm_hw_lapic {",
    )  # fmt: skip
    assert [rule for rule, *_ in drawn(patch, base="4.13")] == ["FIELD_INSERTED_UNLESS_COMPAT"]
    assert drawn(patch, base="4.13")[0][1] == 101


def test_a_field_appended_loads_zero_extended_or_not():
    lines = ["     uint64_t mci_ctl2_bank1;", "     uint64_t mcg_ext_ctl;",
             "+    uint64_t more;", " };"]  # fmt: skip
    assert drawn(diff(*lines), base="4.17") == []
    pit = ["     uint32_t speaker_data_on;", "     uint32_t pad0;", "+    uint64_t more;", " };"]
    assert drawn(diff(*pit), base="4.17") == [("RECORD_SIZE_CHANGED_UNLESS_COMPAT", 102, False)]
    handler = (
        b"--- a/xen/arch/x86/emul-i8254.c\n+++ b/xen/arch/x86/emul-i8254.c\n@@ -1,2 +1,2 @@\n"
        b"-    if ( hvm_load_entry(PIT, h, &pit->hw) )\n"
        b"+    if ( hvm_load_entry_zeroextend(PIT, h, &pit->hw) )\n     {\n"
    )
    assert drawn(diff(*pit) + handler, base="4.17") == []


NEW = [
    "+", "+struct hvm_meter {", "+    uint64_t count;", "+    uint32_t a, b;", "+};", "+",
    "+DECLARE_HVM_SAVE_TYPE(METER, {code}, struct hvm_meter);",
]  # fmt: skip


def with_new(code, most):
    lines = [line.replace("{code}", str(code)) for line in NEW]
    return diff(" #define CPU_MSR_CODE  20", *lines,
                "-#define HVM_SAVE_CODE_MAX 20", f"+#define HVM_SAVE_CODE_MAX {most}")  # fmt: skip


def test_a_new_record():
    assert drawn(with_new(21, 21), base="4.17") == []
    assert drawn(with_new(21, 23), base="4.17") == [("MAXIMUM_RAISED_FOR_NO_RECORD", 108, False)]
    assert drawn(with_new(25, 25), base="4.17") == [
        ("NUMBER_TAKEN_FROM_OWNER_UNLESS_UPSTREAMED", 107, False)
    ]
    assert ("MAXIMUM_BELOW_RECORD", 108, False) in drawn(with_new(50, 21), base="4.17")


def test_a_record_deleted_is_shown_at_the_line_that_goes():
    patch = diff(" struct hvm_tsc_adjust {", "     uint64_t tsc_adjust;", " };",
                 "-DECLARE_HVM_SAVE_TYPE(TSC_ADJUST, 19, struct hvm_tsc_adjust);")  # fmt: skip
    assert drawn(patch, base="4.17") == [("RECORD_DELETED", 103, True)]


def test_a_symbolic_number_is_evaluated():
    patch = with_new("METER_CODE", 21).replace(
        b"+struct", b"+#define METER_CODE (10 + 11)\n+struct"
    )
    patch = patch.replace(b" +100,9 @@", b" +100,10 @@")
    assert drawn(patch, base="4.17") == []


@pytest.mark.parametrize(
    "lines",
    [
        ["+MAKE_STRUCT(hvm_new, 4);"],
        ["-MAKE_STRUCT(hvm_new, 4);"],
        ["+#pragma pack(1)"],
        ["+#undef RTC_CMOS_SIZE", "+#define RTC_CMOS_SIZE 15"],
        ['+#include "other.h"'],
        ["-#define VIOAPIC_NUM_PINS 48", "+#define VIOAPIC_NUM_PINS 24"],
        ["-#ifdef __XEN__"],
        [
            "-#define DECLARE_HVM_SAVE_TYPE(_x, _c, _t) struct _x { _t t; char c[_c]; }",
            "+#define DECLARE_HVM_SAVE_TYPE(_x, _c, _t) struct _x { _t t; char c[_c + 1]; }",
        ],
    ],
)
def test_what_the_lines_do_not_tell_is_refused_not_passed(lines):
    with pytest.raises(UsageError, match="--tree"):
        drawn(diff(" #define CPU_MSR_CODE  20", *lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["+typedef struct hvm_a *hvm_a_t;"],
        ["+#define METER_WORDS(n) ((n) / 4)"],
        ["+enum meter { METER_OFF, METER_ON };"],
        ["+struct hvm_meter;"],
        ["-#if defined(__arm__)", "+#if defined(__arm__) || defined(__aarch64__)"],
        ["-#error something", "+#error another thing"],
        ["+#undef RTC_CMOS_SIZE"],
        ["-# include <xen/lib.h>"],
        ["-#ifdef __ia64__", "-#define PINS 24", "-#else", "-#endif"],
        [
            "-#define DECLARE_HVM_SAVE_TYPE(_x, _c, _t) struct _x { _t t; char c[_c]; }",
            "+#define DECLARE_HVM_SAVE_TYPE(n, k, ty) int f(n); struct n { ty t; char c[k]; }",
        ],
    ],
)
def test_what_no_record_depends_on_passes(lines):
    assert drawn(diff(" #define CPU_MSR_CODE  20", *lines)) == []


def test_an_unknown_type_asks_for_the_tree():
    patch = with_new(21, 21).replace(b"uint64_t count", b"hvm_thing_t count")
    with pytest.raises(UsageError, match="--tree"):
        drawn(patch, base="4.17")


def test_a_function_may_change_freely():
    patch = diff(" {", "-    nat->flags = 0;", "+    nat->flags = 1;", "     return 0;", " }",
                 section="static inline int fix(void *h)")  # fmt: skip
    assert drawn(patch) == []


def test_spaces_and_words_of_comments_are_no_change():
    patch = diff("-#define  SOMETHING(x)  x  /* old */", "+#define SOMETHING(x) x /* new */",
                 "-/* ", "+/*", "  * words", "  */", " struct nobody_has_this {")  # fmt: skip
    assert drawn(patch) == []


def test_a_function_that_a_patch_adds_is_passed_over():
    for body in ("{ return 0; }", "{\n+    return 0;\n+}", "\n+{\n+    return 0;\n+}"):
        lines = [
            "+static inline int fix(void *h,",
            *f"+               uint32_t size) {body}".split("\n"),
        ]
        patch = diff(" #define CPU_MSR_CODE  20", *lines, *NEW[1:]).replace(b"{code}", b"25")
        rules = [rule for rule, *_ in drawn(patch, base="4.17")]
        assert rules == ["MAXIMUM_BELOW_RECORD", "NUMBER_TAKEN_FROM_OWNER_UNLESS_UPSTREAMED"]


def test_a_conditional_that_ends_elsewhere_is_refused():
    patch = diff(" #define CPU_MSR_CODE  20", "+#ifdef CONFIG_FOO", *NEW[1:-1])
    with pytest.raises(UsageError, match="conditional that the patch adds"):
        drawn(patch, base="4.17")


def test_a_patch_that_fits_no_release():
    patch = diff("-#define HVM_SAVE_CODE_MAX 19999", "+#define HVM_SAVE_CODE_MAX 20000")
    with pytest.raises(UsageError, match="does not apply to any release"):
        drawn(patch)
    with pytest.raises(UsageError, match=r"on 4.17 it does not apply.*save.h:100"):
        drawn(diff(" #define HVM_SAVE_CODE_MAX 18", "+#define A_CODE 19"), base="4.17")


def test_a_series_is_held_step_by_step():
    def mail(number, body):
        head = f"From: A <a@example.org>\nSubject: [PATCH {number}/2] part {number}\n"
        return f"From a@b Thu Jan  1 00:00:00 2023\n{head}\n\n---\n".encode() + body + b"\n"

    add = with_new(21, 21)
    drop = diff(*(line.replace("{code}", "21").replace("+", "-", 1) for line in NEW))
    result = review_patches(
        [("2", mail(2, drop)), ("1", mail(1, add))], setting_of(Request(base="4.17"))
    )
    # What the second takes out the first has brought: as a whole they change nothing.
    found = [o.finding for each in result.reviews for o in each.objections]
    assert [(each.rule, each.severity) for each in found] == [UNSEEN]


def test_with_a_tree_whole_headers_are_compared(repository, base):
    changed = base["header"].replace("uint64_t period;", "uint64_t period;\n    uint64_t extra;")
    repository.commit("Grow a record", header=changed)
    patch = repository.git("format-patch", "--stdout", "-1").encode()
    request = Request(inputs=("p",), tree=str(repository.path), at="HEAD~")
    (done,) = review(request, lambda _: patch).reviews
    assert [o.finding.rule for o in done.objections] == ["RECORD_SIZE_CHANGED_UNLESS_COMPAT"]
    assert done.title == "Grow a record"
    with pytest.raises(UsageError, match=r"does not apply: .*save.h:19 is 'uint64_t extra;'"):
        review(Request(inputs=("p",), tree=str(repository.path)), lambda _: patch)


def test_a_patch_applies_where_its_lines_have_moved(repository, base):
    repository.commit("Move", header="\n\n\n" + base["header"])
    repository.commit("Raise", header="\n\n\n" + base["header"].replace("MAX 3", "MAX 5"))
    patch = repository.git("diff", "HEAD~").replace("-17,", "-14,").encode()
    request = Request(inputs=("p",), tree=str(repository.path), at="HEAD~2")
    (done,) = review(request, lambda _: patch).reviews
    assert [o.finding.rule for o in done.objections] == ["MAXIMUM_RAISED_FOR_NO_RECORD"]


def test_handlers_of_a_patched_tree_are_seen(repository, base):
    repository.commit("Drop", handlers=base["handlers"].replace("HVM_REGISTER_SAVE_RESTORE(TIMER",
                                                                "OTHER(TIMER"))  # fmt: skip
    request = Request(inputs=("HEAD~..HEAD",), tree=str(repository.path))
    (done,) = review(request, lambda _: b"").reviews
    (objection,) = done.objections
    assert objection.finding.rule == "RECORD_REGISTERED_BY_NO_HANDLER"


def mailed(subject, data):
    """Return a patch as a mail of an mbox, without a number."""
    head = (
        f"From a@b.c Wed Dec 18 16:09:25 2019\nFrom: A <a@b.c>\nSubject: [PATCH] {subject}\n\n---\n"
    )
    return head.encode() + data + b"-- \n2.20.1\n\n"


def reverted(data):
    """Return a diff that takes another one back."""
    swap = {"+": "-", "-": "+"}
    lines = []
    for line in data.decode().splitlines():
        head = line.startswith(("--- ", "+++ ", "@@ "))
        lines.append(line if head else swap.get(line[:1], line[:1]) + line[1:])
    text = "\n".join(lines) + "\n"
    sizes = text.split("@@ -", 1)[1].split(" @@", 1)[0]
    old, new = sizes.split(" +")
    return text.replace(f"@@ -{sizes}", f"@@ -{new} +{old}").encode()


def test_patches_without_numbers_apply_upon_each_other():
    """`git am` applies an mbox in its order: a revert applies to what the first left only."""
    takes_22 = with_new(22, 22)
    mbox = mailed("add a meter", takes_22) + mailed('Revert "add a meter"', reverted(takes_22))
    result = review(Request(inputs=("p",), base="4.17"), lambda _: mbox)
    (first, second) = result.reviews
    assert {o.settled for o in first.objections} == {second.title}
    assert not result.fails("error")


def test_one_that_applies_upon_nothing_is_refused_still():
    other = diff("     uint32_t nowhere;", "+    uint64_t extra;", "     uint64_t neither;")
    mbox = mailed("add a meter", with_new(21, 21)) + mailed("another", other)
    with pytest.raises(UsageError, match="does not apply"):
        review(Request(inputs=("p",), base="4.17"), lambda _: mbox)
