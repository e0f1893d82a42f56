"""Numbered ABIs beside the save records: what their headers and documents state, as text."""

import os
from pathlib import Path

import pytest

from xensave import catalogue
from xensave.headers.compiled.clang import compile_headers
from xensave.headers.spaces import description_of, descriptions
from xensave.headers.text.numbers import evaluate, read_document, read_text
from xensave.headers.trees.tree import GitRepository, GitTree

XEN = os.environ.get("XENSAVE_XEN_GIT")
PARAMS = """
#define HVM_PARAM_STORE_PFN    1
#if defined(__ia64__)
#define HVM_PARAM_NVRAM_FD     7
#elif defined(__x86_64__)
#define HVM_PARAM_VIRIDIAN     (4 + \\
                                5)
#endif
/* #define HVM_PARAM_OLD 11 - obsolete */
#define HVM_PARAM_CALLBACK_TYPE_GSI 0
#define HVM_PARAM_NEW HVM_PARAM_VIRIDIAN
#define HVM_PARAM_FAR (SOMETHING + 1)
/* Params 40 and 41 are reserved for Acme */
#define HVM_NR_PARAMS 39
"""


def test_both_sides_of_an_if_comments_aliases_and_the_limit():
    found = read_text(PARAMS, "params.h", description_of("hvm-param"))
    assert [(n.name, n.number, n.place.line, n.alias) for n in found.numbers] == [
        ("STORE_PFN", 1, 2, False),
        ("NVRAM_FD", 7, 4, False),
        ("VIRIDIAN", 9, 6, False),
        ("NEW", 9, 11, True),
        ("FAR", None, 12, False),
    ]
    assert [(n.name, n.number) for n in found.retired] == [("OLD", 11)]
    assert (found.limit, found.limit_place.line) == (39, 14)
    assert [(kept.first, kept.last, kept.space) for kept in found.reservations] == [
        (40, 40, "hvm-param"),
        (41, 41, "hvm-param"),
    ]


@pytest.mark.parametrize(
    ("space", "text", "limit"),
    [
        ("elf-note", "#define XEN_ELFNOTE_A 19\n#define XEN_ELFNOTE_MAX XEN_ELFNOTE_A", 20),
        ("feature", "#define XENFEAT_NR_SUBMAPS 2", 64),
        ("mapspace", "#define XENMAPSPACE_x 1", None),
    ],
)
def test_what_bounds_a_space(space, text, limit):
    assert read_text(text, "h", description_of(space)).limit == limit


def test_a_documents_list():
    text = "type  0x0000000E: CHECKPOINT\n      0x00000013 - 0x7FFFFFFF: Reserved\n"
    found = read_document(text, "spec", description_of("libxc-record"))
    assert [(n.name, n.number, n.place.line) for n in found.numbers] == [("CHECKPOINT", 14, 1)]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0x12U", 18),
        ("010", 8),
        ("(1U << 4)", 16),
        ("-1", -1),
        ("A + B", None),
        ("(" * 5000, None),
        ("1 << 100000", None),
        ("__import__('os')", None),
    ],
)
def test_constant_expressions(value, number):
    assert evaluate(value, {}) == number


def test_names_that_mean_each_other_end():
    assert evaluate("A", {"A": "B", "B": "A"}) is None


@pytest.mark.slow
@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED")
@pytest.mark.parametrize("name", catalogue.release_names())
def test_text_and_compiler_agree(name):
    """What libclang evaluates, the text reader evaluates alike, at each release."""
    compared = 0
    with GitRepository(Path(XEN)) as repository:
        tree = GitTree(repository, catalogue.release(name).ref)
        for description in descriptions():
            paths = [next((p for p in ps if tree.read(p)), None) for ps in description.headers]
            if None in paths or description.declared:
                continue
            unit = compile_headers(
                tree,
                "",
                paths,
                defines=["__XEN_TOOLS__", "INCLUDE_ENDIAN_H=<endian.h>"],
                constants=description.match,
            )
            text = read_text(tree.read(paths[-1]), paths[-1], description)
            stated = {(n.macro, n.number) for n in text.numbers}
            compiled = {
                (found.name, found.value)
                for found in unit.constants
                if found.place.file == paths[-1] and description.name_of(found.name)
            }
            compared += len(compiled)
            assert compiled <= stated, description.space
    assert compared > 50


@pytest.mark.parametrize(
    "text",
    [
        # Each name means the one before it forty times: 40 ** 60 if names were not remembered.
        "".join(f"#define N{n} ({' + '.join([f'N{n - 1}'] * 15)})\n" for n in range(1, 60))
        + "#define HVM_PARAM_A N59\n#define N0 1\n",
        "".join(f"#define N{n} (N{n - 1} * N{n - 1})\n" for n in range(1, 60))
        + "#define HVM_PARAM_A N59\n#define N0 3\n",
        "".join(f"#define N{n} N{n - 1}\n" for n in range(1, 5000)) + "#define HVM_PARAM_A N4999\n",
        "/*" * 200_000,
        "#if 1\n" * 100_000 + "#define HVM_PARAM_A (1 << 99)\n",
        "#define HVM_PARAM_A " + "(" * 100_000,
    ],
)
def test_hostile_headers_end(text):
    found = read_text(text, "h", description_of("hvm-param"))
    assert all(number.number is None for number in found.numbers)


def test_many_numbers_take_linear_time():
    from tests.rules_spaces.test_space_rules import judged

    text = "".join(f"#define HVM_PARAM_N{n} {n % 7 + 10}\n" for n in range(20_000))
    assert len(judged("", text)) >= 20_000 - 7
