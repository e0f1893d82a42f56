"""Headers that someone sent: they reach nothing of the machine, and end within their limits."""

import os

import pytest

from xensave.errors import LimitExceeded, Malformed, XensaveError
from xensave.headers.compiled.limits import FIELDS
from xensave.headers.save import read_tree
from xensave.headers.trees.tree import FILE_LIMIT, DirectoryTree, MemoryTree

MACRO = "#define DECLARE_HVM_SAVE_TYPE(n, k, s) struct __HVM_SAVE_TYPE_##n { s t; char c[k]; }\n"
GOOD = "struct hvm_s { uint64_t a; };\nDECLARE_HVM_SAVE_TYPE(S, 1, struct hvm_s);\n"
SECRET = "token_of_the_host"


def tree(text):
    return MemoryTree({"hvm/save.h": MACRO + text}, "patched")


def fan(depth):
    """Structs of which each contains the one before it twice: 2 ** depth fields in the last."""
    steps = [f"struct hvm_{n} {{ struct hvm_{n - 1} a, b; }};" for n in range(1, depth + 1)]
    bind = f"DECLARE_HVM_SAVE_TYPE(S, 1, struct hvm_{depth});"
    return "\n".join(["struct hvm_0 { uint64_t x; };", *steps, bind])


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{SECRET} is_no_type;\n")
    return path


@pytest.mark.parametrize(
    "line",
    [
        '#include "{}"', "#include <{}>", '#import "{}"', '#define P "{}"\n#include P',
        'const char x[] = {{\n#embed "{}"\n}};', '#include "../../../../../../../../{}"',
    ],
)  # fmt: skip
def test_no_file_of_the_machine_is_read(line, secret):
    with pytest.raises(Malformed) as caught:
        read_tree(tree(line.format(secret) + "\n" + GOOD))
    assert SECRET not in str(caught.value)


def test_a_header_cannot_ask_which_files_there_are(secret):
    asks = '#if __has_include("{}")\n#error it is there\n#endif\n'
    answers = []
    for path in (secret, secret.with_name("absent")):
        with pytest.raises(Malformed) as caught:
            read_tree(tree(asks.format(path) + GOOD))
        answers.append(str(caught.value))
    assert answers[0] == answers[1]


def test_a_device_is_not_read():
    with pytest.raises(Malformed, match="which the tree does not hold"):
        read_tree(tree('#include "/dev/zero"\n' + GOOD))


@pytest.mark.parametrize("target", ["../secret", "/dev/zero", "fifo"])
def test_a_link_out_of_the_tree_and_a_pipe_in_it_are_absent(target, tmp_path, secret):
    top = tmp_path / "tree"
    (top / "hvm").mkdir(parents=True)
    (top / "hvm/save.h").write_text(MACRO + '#include "stray.h"\n' + GOOD)
    if target == "fifo":
        os.mkfifo(top / "hvm/stray.h")
    else:
        (top / "hvm/stray.h").symlink_to(f"../{target}" if target[0] == "." else target)
    with pytest.raises(Malformed, match=r"stray.h', which the tree does not hold"):
        read_tree(DirectoryTree(top))


def test_a_file_above_the_limit(tmp_path):
    (tmp_path / "hvm").mkdir()
    (tmp_path / "hvm/save.h").write_bytes(b"\n" * (FILE_LIMIT + 1))
    with pytest.raises(LimitExceeded, match="is longer than"):
        read_tree(DirectoryTree(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(fan(24), id="a struct twice in each"),
        pytest.param(
            "#define A0 int x;\n"
            + "".join(f"#define A{n} A{n - 1} A{n - 1} A{n - 1} A{n - 1}\n" for n in range(1, 30))
            + "A29\n",
            id="macros",
        ),
        pytest.param(
            "struct hvm_s {" + "".join(f"char f{n};\n" for n in range(FIELDS + 1)) + "};",
            id="fields",
        ),
        pytest.param("struct hvm_s { char x[1 << 30][1 << 20]; };" + fan(16), id="sizes"),
        pytest.param("a b;\n" * 200_000, id="errors"),
        pytest.param("struct hvm_s {" * 5000 + "};" * 5000, id="braces"),
        pytest.param("#if 1\n" * 100_000, id="conditions"),
    ],
)
def test_what_grows_without_end_is_refused(text):
    with pytest.raises(XensaveError):
        read_tree(tree(text))
    # The next tree is read as if nothing had been.
    assert read_tree(tree(GOOD)).record("S").typecode == 1


def test_a_struct_shared_by_many_is_told_once():
    assert read_tree(tree(fan(12))).record("S").layout.size == 8 * 2**12
