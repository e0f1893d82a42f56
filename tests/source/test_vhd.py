"""Oracle: QEMU's writer of VHD where it is installed, and the specification's layout."""

import random
import shutil
import subprocess

import pytest

from xensave.cli import main
from xensave.errors import LimitExceeded, Malformed, Truncated, Unsupported, XensaveError
from xensave.image import open_image
from xensave.source import open_source, read_all
from xensave.source import vhd as vhd_module
from xensave.testing.frames import suspend_image
from xensave.testing.vhd import BLOCK, vhd

DISK = random.Random(1).randbytes(3 * BLOCK) + bytes(BLOCK) + b"the last block".ljust(BLOCK, b"z")


@pytest.mark.parametrize("order", [None, [4, 1, 3, 0, 2]])
def test_the_disk_is_read_whatever_order_its_blocks_lie_in(order):
    with open_source(vhd(DISK, order=order)) as source:
        assert source.size == len(DISK)
        assert bytes(source.view(BLOCK - 5, 10)) == DISK[BLOCK - 5 : BLOCK + 5]
        assert bytes(source.peek(7)) == DISK[:7]
        assert read_all(source) == DISK
        with pytest.raises(Truncated):
            source.read(1)


def test_sectors_that_were_not_written_are_zeros():
    disk = bytearray(DISK)
    raw = vhd(DISK, clear=(1, 7, 4096 + 3))
    for sector in (1, 7, 4096 + 3):
        disk[sector * 512 : (sector + 1) * 512] = bytes(512)
    with open_source(raw) as source:
        assert read_all(source) == disk
        for at in (500, 512, 600, 1023):
            assert bytes(source.view(at, 600)) == disk[at : at + 600]


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")
def test_what_qemu_writes(tmp_path):
    (tmp_path / "raw").write_bytes(DISK)
    subprocess.run(
        ["qemu-img", "convert", "-O", "vpc", "-o", "subformat=dynamic,force_size=on",
         "-f", "raw", str(tmp_path / "raw"), str(tmp_path / "vhd")],
        check=True,
    )  # fmt: skip
    with open_source(str(tmp_path / "vhd")) as source:
        assert bytes(source.read(len(DISK))) == DISK


@pytest.mark.parametrize("tool", [None, "zstd", "gzip"])
def test_a_suspend_image_in_a_vhd(tool, tmp_path):
    image = suspend_image()
    raw = vhd((image + b"old " * 1000).ljust(3 * BLOCK, b"\0"))
    path = tmp_path / "vdi.vhd"
    path.write_bytes(raw)
    if tool:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}")
        path.write_bytes(subprocess.run([tool, "-c"], input=raw, stdout=-1, check=True).stdout)
    with open_image(str(path)) as found:
        assert found.guest == 'guest ("quoted")'
        assert found.size == len(image)
    out = tmp_path / "out"
    assert main(["verify", str(path)]) == 0
    assert main(["convert", str(path), str(out), "-t", "4.17", "-q"]) == 0
    assert out.read_bytes() == image


def test_disks_that_are_not_read():
    with pytest.raises(Unsupported, match="differencing"):
        open_source(vhd(DISK, kind=4))
    whole = bytearray(vhd(DISK))
    for at, value in ((48, b"\x7f" * 8), (512, b"none"), (512 + 16, b"\xff" * 8), (16, b"\xff" * 8),
                      (512 + 28, b"\xff" * 4), (512 + 32, bytes(4))):  # fmt: skip
        hurt = bytes(whole[:at]) + value + bytes(whole[at + len(value) :])
        with pytest.raises(Malformed):
            open_source(hurt)


def test_mutations_end_in_one_clear_error():
    chance = random.Random(2)
    small = vhd(suspend_image().ljust(1 << 16, b"\0"), block=4096)
    for _ in range(500):
        hurt = bytearray(small)
        for _ in range(3):
            hurt[chance.randrange(2048)] = chance.randrange(256)
        try:
            with open_image(bytes(hurt)) as image:
                assert image.facts
        except XensaveError as error:
            assert str(error)


@pytest.mark.parametrize("blocks", [100, 5000])
def test_blocks_that_lie_upon_each_other_are_refused(blocks, tmp_path):
    """A table of entries that name one block made terabytes of some kilobytes."""
    raw = bytearray(vhd(DISK[:BLOCK], size=blocks * BLOCK))
    table = int.from_bytes(raw[512 + 16 : 512 + 24], "big")
    raw[table : table + 4 * blocks] = raw[table : table + 4] * blocks
    path = tmp_path / "bomb.vhd"
    path.write_bytes(raw)
    with pytest.raises(Malformed, match=rf"{blocks} blocks of {BLOCK} bytes in") as error:
        open_source(str(path))
    assert str(path) in str(error.value)


def test_a_disk_of_zeros_is_read_as_far_as_compressed_input_is(monkeypatch):
    monkeypatch.setattr(vhd_module, "EXPANSION_FLOOR", 1 << 20)
    monkeypatch.setattr(vhd_module, "EXPANSION_RATIO", 2)
    raw = vhd(DISK[:BLOCK] + bytes(20 * BLOCK))
    with open_source(raw) as source, pytest.raises(LimitExceeded, match="limit"):
        source.skip(21 * BLOCK)
    with open_source(raw, max_size=21 * BLOCK) as source:
        source.skip(21 * BLOCK)
