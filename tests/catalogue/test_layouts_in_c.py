"""Every layout's sizes, offsets and bit positions agree with what gcc makes of its fields."""

import shutil
import subprocess

import pytest

from tests.catalogue.cstructs import HEAD, assertions, members, struct
from xensave import catalogue

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")

LAYOUTS = [found for name in catalogue.record_names() for found in catalogue.layouts_of(name)]


def tag(layout):
    return layout.id.replace(".", "_")


@pytest.mark.parametrize("bits", [64, 32])
def test_sizes_and_offsets(bits):
    text = HEAD
    for layout in LAYOUTS:
        shape = catalogue.shape(layout, bits)
        text += struct(tag(layout), shape) + assertions(tag(layout), shape)
    command = ["gcc", f"-m{bits}", "-ffreestanding", "-std=gnu11", "-fsyntax-only", "-xc", "-"]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


def test_the_check_can_fail():
    layout = catalogue.layout("LAPIC.2")
    wrong = layout._replace(size=layout.size + 8)
    text = HEAD + struct("x", catalogue.shape(layout)) + assertions("x", catalogue.shape(wrong))
    command = ["gcc", "-fsyntax-only", "-xc", "-"]
    assert subprocess.run(
        command, input=text, text=True, capture_output=True, check=False
    ).returncode


def test_bit_fields(tmp_path):
    """A program sets each bit-field to ones and prints which bits of the struct that sets."""
    text = HEAD + "#include <stdio.h>\n#include <string.h>\n"
    main = ""
    expected = []
    for layout in LAYOUTS:
        shape = catalogue.shape(layout)
        named = [item for item in members(shape.fields) if item[2].bits]
        if not named:
            continue
        text += struct(tag(layout), shape)
        for path, offset, field in named:
            shift, width = field.bits
            expected.append(f"{tag(layout)} {path} {offset * 8 + shift} {width}")
            main += (
                f"    {{ struct {tag(layout)} s; memset(&s, 0, sizeof s); s.{path} = ~0;"
                f' report("{tag(layout)} {path}", &s, sizeof s); }}\n'
            )
    text += r"""
static void report(const char *name, const void *at, size_t size)
{
    const unsigned char *byte = at;
    int first = -1, count = 0;
    for (size_t bit = 0; bit < size * 8; bit++)
        if (byte[bit / 8] >> bit % 8 & 1) {
            if (first < 0) first = bit;
            count++;
        }
    printf("%s %d %d\n", name, first, count);
}
"""
    text += f"int main(void)\n{{\n{main}    return 0;\n}}\n"
    program = tmp_path / "bits"
    subprocess.run(["gcc", "-w", "-xc", "-", "-o", program], input=text, text=True, check=True)
    answers = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert expected
    assert answers.splitlines() == expected
