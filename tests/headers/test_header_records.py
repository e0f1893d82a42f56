"""What the reader of headers finds in headers of every form."""

import subprocess

import pytest

from tests.headers.header_trees import one_file, two_files
from xensave.catalogue.model import Field
from xensave.errors import LimitExceeded, Malformed, SourceError, UsageError
from xensave.headers.save import read_tree
from xensave.headers.trees.tree import DirectoryTree, GitRepository, GitTree, MemoryTree

CLOCK = """
struct clock {
    uint64_t ticks;
    uint16_t alarms[2][3];
    uint8_t  on:1;
    uint8_t  mode:3;
    union {
        uint32_t word;
        struct { uint8_t low, high; } half;
    };
    struct gear { uint8_t teeth; uint32_t turns; } gears[2];
};
"""


def test_everything_in_one_file():
    space = read_tree(one_file(CLOCK + "DECLARE_HVM_SAVE_TYPE(CLOCK, 3, struct clock);"))
    [record] = space.records
    assert (record.name, record.typecode, record.form) == ("CLOCK", 3, "declare")
    assert (record.layout.struct, record.layout.size, record.layout.align) == ("clock", 48, 8)
    assert str(record.place) == "hvm/save.h:16"
    assert record.compat is None
    assert space.code_max is None
    assert space.reservations == ()


def test_fields_of_every_kind():
    space = read_tree(one_file(CLOCK + "DECLARE_HVM_SAVE_TYPE(CLOCK, 3, struct clock);"))
    assert space.record("CLOCK").layout.fields == (
        Field("ticks", "uint64_t", 0, 8),
        Field("alarms", "uint16_t", 8, 12, (2, 3)),
        Field("on", "uint8_t", 20, 1, (), (0, 1)),
        Field("mode", "uint8_t", 20, 1, (), (1, 3)),
        Field(
            "", "union", 24, 4, (), None,
            (
                Field("word", "uint32_t", 0, 4),
                Field(
                    "half", "struct", 0, 2, (), None,
                    (Field("low", "uint8_t", 0, 1), Field("high", "uint8_t", 1, 1)),
                ),
            ),
            True,
        ),
        Field(
            "gears", "struct gear", 28, 16, (2,), None,
            (Field("teeth", "uint8_t", 0, 1), Field("turns", "uint32_t", 4, 4)),
        ),
    )  # fmt: skip


def test_the_32_bit_layout_of_the_same_struct():
    body = "struct s { uint64_t a; uint32_t b; unsigned long c; };"
    space = read_tree(one_file(body + "DECLARE_HVM_SAVE_TYPE(S, 1, struct s);"))
    record = space.record("S")
    assert (record.layout.size, record.layout.align) == (24, 8)
    assert (record.x86_32.size, record.x86_32.align) == (16, 4)
    assert [field.offset for field in record.x86_32.fields] == [0, 8, 12]


def test_the_compat_form_and_its_older_struct():
    body = """
    struct now { uint64_t a; uint64_t b; };
    struct before { uint64_t a; };
    static inline int mend(void *h, uint32_t size) { return size == 8 ? 0 : -1; }
    DECLARE_HVM_SAVE_TYPE_COMPAT(THING, 2, struct now, \\
                                 struct before, mend);
    struct other { uint64_t c; };
    DECLARE_HVM_SAVE_TYPE(OTHER, 4, struct other);
    #define HVM_SAVE_CODE_MAX 4
    """
    space = read_tree(two_files(body))
    thing, other = space.records
    assert (thing.form, thing.layout.size, thing.compat.size) == ("compat", 16, 8)
    assert (thing.compat.struct, thing.compat_x86_32.size) == ("before", 8)
    assert (other.form, other.compat) == ("declare", None)
    assert str(thing.place) == "xen/include/public/arch-x86/hvm/save.h:5"
    assert (space.code_max, str(space.code_max_place)) == (
        4,
        "xen/include/public/arch-x86/hvm/save.h:9",
    )


def test_a_number_bound_only_by_a_macro():
    body = """
    struct hvm_hw_cpu_thing { uint64_t mask; struct { char x[512]; } area; };
    #define CPU_THING_CODE (2 * 8)
    struct hvm_list { uint32_t count; struct { uint64_t v; } item[]; };
    #define CPU_LIST_CODE 20
    #define NOBODYS_CODE 21
    #define HVM_SAVE_CODE_MAX CPU_LIST_CODE
    """
    space = read_tree(two_files(body))
    thing, items, nobodys = space.records
    assert (thing.name, thing.typecode, thing.form) == ("CPU_THING", 16, "define")
    assert (thing.layout.struct, thing.layout.size) == ("hvm_hw_cpu_thing", 520)
    assert thing.layout.flexible
    assert (items.name, items.layout.struct, items.layout.size) == ("CPU_LIST", "hvm_list", 8)
    assert items.layout.fields[1].dims == (0,)
    assert (nobodys.name, nobodys.typecode, nobodys.layout) == ("NOBODYS", 21, None)
    assert space.code_max == 20


def test_reservations_and_where_they_stand():
    body = "#define HVM_SAVE_CODE_MAX 4\n\n/* Range 22 - 34 (inclusive) reserved for Amazon */\n"
    [found] = read_tree(two_files(body)).reservations
    assert (found.first, found.last, found.owner) == (22, 34, "Amazon")
    assert str(found.place) == "xen/include/public/arch-x86/hvm/save.h:3"


def test_xen_h_comes_from_the_tree_where_it_has_one():
    body = '#include "../../xen.h"\nstruct s { uint8_t x[WIDTH]; };\n'
    body += "DECLARE_HVM_SAVE_TYPE(S, 1, struct s);"
    assert read_tree(two_files(body, xen="#define WIDTH 12\n")).record("S").layout.size == 12
    with pytest.raises(Malformed, match=r"arch-x86/hvm/save\.h:2: .*'WIDTH'"):
        read_tree(two_files(body))


def test_headers_that_include_each_other():
    body = '#ifndef A\n#define A\n#include "../../xen.h"\nstruct s { uint32_t a; };\n'
    body += "DECLARE_HVM_SAVE_TYPE(S, 1, struct s);\n#endif"
    tree = two_files(body, xen='#ifndef X\n#define X\n#include "hvm/save.h"\n#endif')
    assert read_tree(tree).record("S").layout.size == 4


def test_a_header_that_does_not_compile_says_where_and_why():
    body = "struct s {\n    uint32_t a;\n    nonsense b;\n};\n"
    with pytest.raises(Malformed) as caught:
        read_tree(two_files(body))
    assert str(caught.value) == (
        "checkout: xen/include/public/arch-x86/hvm/save.h:3: unknown type name 'nonsense'"
    )


def test_a_struct_that_is_never_defined():
    with pytest.raises(Malformed, match=r"hvm/save\.h:5: .*incomplete type"):
        read_tree(one_file("\nDECLARE_HVM_SAVE_TYPE(S, 1, struct nowhere);"))


def test_a_file_outside_the_tree_is_refused(tmp_path):
    outside = tmp_path / "outside.h"
    outside.write_text("struct s { int a; };\n")
    with pytest.raises(Malformed, match=r"which the tree does not hold"):
        read_tree(one_file(f'#include "{outside}"\n'))


def test_an_include_that_grows_without_end_is_refused():
    files = {"hvm/save.h": '#include "a/x.h"\n'}
    names = [f"{a}{b}.h" for a in "pqrstu" for b in "0123456789"]
    text = "".join(f'#include "../hvm/{name}"\n' for name in names)
    files |= {f"hvm/{name}": text for name in names} | {"hvm/a/x.h": '#include "../p0.h"\n'}
    with pytest.raises(LimitExceeded, match="too many includes"):
        read_tree(MemoryTree(files))


@pytest.mark.parametrize("files", [{}, {"README": "hello"}, {"arch-x86/hvm/save.h": ""}])
def test_a_tree_without_the_headers(files):
    with pytest.raises(UsageError, match=r"no hvm/save\.h"):
        read_tree(MemoryTree(files, "elsewhere"))


@pytest.fixture
def checkout(tmp_path):
    body = "struct s { uint64_t a; };\nDECLARE_HVM_SAVE_TYPE(S, 7, struct s);\n"
    for path, text in two_files(body).files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


@pytest.mark.parametrize("below", ["", "xen", "xen/include", "xen/include/public"])
def test_directories(checkout, below):
    assert read_tree(DirectoryTree(checkout / below)).record("S").typecode == 7


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="no such directory"):
        read_tree(DirectoryTree(tmp_path / "nowhere"))


def read_revision(gitdir, revision):
    with GitRepository(gitdir) as repository:
        return read_tree(GitTree(repository, revision))


def test_revisions(checkout):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", checkout, *who, *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    header = checkout / "xen/include/public/arch-x86/hvm/save.h"
    header.write_text(header.read_text().replace("7", "8"))
    git("commit", "-q", "-a", "-m", "two")
    assert read_revision(checkout, "HEAD~").record("S").typecode == 7
    assert read_revision(checkout, "HEAD").record("S").typecode == 8
    assert read_revision(checkout / ".git", "HEAD").record("S").typecode == 8
    header.write_text('#include "x blob"\n' + header.read_text())
    git("commit", "-q", "-a", "-m", "three")
    with pytest.raises(Malformed, match=r"includes '.*x blob', which the tree does not hold"):
        read_revision(checkout, "HEAD")
    for revision in ("nowhere", "", "--all", "HEAD:xen", "a\nb"):
        with pytest.raises(UsageError):
            read_revision(checkout, revision)
    with pytest.raises(SourceError):
        read_revision(checkout / "nowhere", "HEAD")
