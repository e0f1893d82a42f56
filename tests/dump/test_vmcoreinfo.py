"""A VMCOREINFO note is told wherever it lies: in the guest, in a window, in this process."""

import random
import struct

import numpy as np
import pytest

from tests.memory.samples import memory, page, record
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
