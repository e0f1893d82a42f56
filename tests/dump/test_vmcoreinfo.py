"""A VMCOREINFO note is told wherever it lies: in the guest, in a window, in this process."""

import random
import struct

import numpy as np
import pytest

from tests.memory.samples import image, memory, page, record
from xensave.cli import main
from xensave.dump import DumpFormat, Options, extract
from xensave.dump.vmcoreinfo import Finder
from xensave.memory import Mappings

PAGE = 4096
TEXT = b"OSRELEASE=6.1.0-test\nPAGESIZE=4096\n"
NOTE = struct.pack("<III12s", 11, len(TEXT), 0, b"VMCOREINFO") + TEXT


def guest(at):
    """Four frames of noise and, at an offset, a note; its memory, and its bytes."""
    data = bytearray(random.Random(at).randbytes(4 * PAGE))
    data[at : at + len(NOTE)] = NOTE
    pages = [bytes(data[start : start + PAGE]) for start in range(0, len(data), PAGE)]
    return memory(record(*enumerate(pages))), bytes(data)


def shown(data, skip, cut):
    """Bytes at an address that has `skip` beyond a multiple of eight, in two windows."""
    room = memoryview(bytearray(skip) + bytearray(data))
    return (0, room[skip : skip + cut]), (cut // PAGE, room[skip + cut :])


@pytest.mark.parametrize("skip", range(8))
@pytest.mark.parametrize("at", [0, 4, 2 * PAGE, PAGE + 100, *range(2 * PAGE - 28, 2 * PAGE, 4)])
def test_at_any_address(at, skip):
    found, data = guest(at)
    finder = Finder(found)
    for pfn, pages in shown(data, skip, 2 * PAGE):
        finder.look(pfn, pages)
    assert finder.text() == TEXT.rstrip(b"\0")


@pytest.mark.parametrize("skip", range(4))
@pytest.mark.parametrize(
    ("at", "kernel", "told"),
    [
        (3 * PAGE, [], True),
        (3 * PAGE + 64, [], False),
        (3 * PAGE + 64, [(3, 1)], True),
        (3 * PAGE + 64, [(0, 2), (2, 1)], False),
        (PAGE + 64, [(2, 2), (0, 1), (0, 3)], True),
        (PAGE + 64, [(3, 9), (0, 1), (1, 1)], True),
    ],
)
def test_where_the_kernel_lies_all_of_it_is_searched(at, kernel, told, skip):
    found, data = guest(at)
    physical, size = (np.array([run[at] * PAGE for run in kernel], np.int64) for at in (0, 1))
    finder = Finder(found, Mappings(physical.view(np.uint64), physical, size))
    for pfn, pages in shown(data, skip, 2 * PAGE):
        finder.look(pfn, pages)
    assert (finder.text() == TEXT) is told


def test_a_part_of_a_note_is_none():
    for cut in range(12, 24):
        data = (NOTE[:cut] + b"\xff" * (24 - cut) + TEXT).ljust(PAGE, b"\0")
        if data[:24] == NOTE[:24]:
            continue
        finder = Finder(memory(record((0, data), (1, page(1)))))
        finder.look(0, data)
        assert finder.text() is None


@pytest.mark.parametrize(
    ("contents", "options", "format", "answer"),
    [
        (NOTE, None, DumpFormat.ELF, True),
        (b"", None, DumpFormat.ELF, False),
        (b"", Options(TEXT), DumpFormat.ELF, True),
        (b"", None, DumpFormat.CORE, None),
        (NOTE, None, DumpFormat.RAW, None),
    ],
)
def test_a_dump_tells_whether_it_has_the_note(contents, options, format, answer, tmp_path):
    out = tmp_path / "out"
    with image(record((3, contents.ljust(PAGE, b"\0")))) as saved:
        assert extract(saved, str(out), format, options).vmcoreinfo is answer
        assert extract(saved, "/dev/null", format, options).vmcoreinfo is answer
    if format is DumpFormat.ELF:
        assert (TEXT in out.read_bytes()) is answer


EXAMPLE = "examples/hvm1.img.zst"


def test_an_elf_without_the_note_says_so_on_standard_error(tmp_path, capfd):
    (tmp_path / "info").write_bytes(TEXT)
    assert main(["extract", EXAMPLE, "-"]) == 0
    assert "--vmcoreinfo FILE" in capfd.readouterr().err
    for quiet in (["-q"], ["--format", "lime"], ["--vmcoreinfo", str(tmp_path / "info")]):
        assert main(["extract", EXAMPLE, str(tmp_path / "out"), *quiet]) == 0
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    [b"", b"7e1b6ce000 1024\n", b"PAGESIZE=4096\n", TEXT + b"\x7fELF\n", TEXT + b"A=\xff\n",
     TEXT * 200],
)  # fmt: skip
def test_a_file_that_is_no_vmcoreinfo_is_refused(text, tmp_path, capsys):
    (tmp_path / "info").write_bytes(text)
    words = ["extract", EXAMPLE, str(tmp_path / "out"), "--vmcoreinfo", str(tmp_path / "info")]
    assert main(words) == 2
    assert f"--vmcoreinfo {tmp_path / 'info'}: no VMCOREINFO" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
