"""The rig's own parts, and what the cases are, as far as that needs no hypervisor."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.xen.restore_cases import CASES
from tests.xen.rig.initrd import module_order, write_initrd
from xensave.container import walk
from xensave.container.events import LIBXC
from xensave.container.streams import hvm, libxc
from xensave.container.streams.libxc import ImageHeader
from xensave.source import open_source

HERE = Path(__file__).parent


def made(name):
    (case,) = [case for case in CASES if case.name == name]
    return case.make()


def context_of(image):
    for event in walk(open_source(image)):
        if event.is_record(LIBXC, libxc.HVM_CONTEXT):
            return hvm.RawContext.parse(bytes(event.body()))
    raise AssertionError("no HVM context")


def version_of(image):
    headers = [event.header for event in walk(open_source(image))]
    (found,) = [header for header in headers if isinstance(header, ImageHeader)]
    return found.version


def lengths_of(context, typecode):
    return [len(entry.body) for entry in context.entries if entry.typecode == typecode]


@pytest.fixture(scope="module")
def plain():
    return made("plain")


@pytest.mark.parametrize(
    "name",
    ["rewritten", "converted to itself", "record 22 dropped", "22 mapped to VMCE_VCPU"],
)
def test_the_image_is_the_plain_one_again(plain, name):
    assert made(name) == plain


@pytest.mark.parametrize("name", ["record 22 added", "VMCE_VCPU at 22"])
def test_a_downstream_record_is_there(plain, name):
    image = made(name)
    assert image != plain
    assert len(lengths_of(context_of(image), 22)) == 1


def test_the_newer_image_loses_what_an_older_xen_refuses():
    assert lengths_of(context_of(made("4.21")), 5) == [32]
    assert lengths_of(context_of(made("4.21 converted down")), 5) == [24]
    assert lengths_of(context_of(made("4.21 in libvirt's frame")), 5) == [32]
    assert lengths_of(context_of(made("4.21 in libvirt's frame converted down")), 5) == [24]


def test_the_older_image_becomes_a_newer_stream():
    assert version_of(made("4.13")) == 2
    assert version_of(made("4.13 converted up")) == 3


def module(folder, name, depends):
    path = folder / f"{name}.ko"
    path.write_bytes(b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0")
    return path


def test_modules_come_after_those_they_need(tmp_path):
    ring = module(tmp_path, "virtio_ring", "")
    virtio = module(tmp_path, "virtio", "virtio_ring")
    block = module(tmp_path, "virtio-blk", "virtio,virtio_ring")
    assert module_order(tmp_path, ["virtio_blk", "virtio"]) == [ring, virtio, block]


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is the oracle")
def test_the_archive_is_what_cpio_unpacks(tmp_path):
    tree, out = tmp_path / "tree", tmp_path / "out"
    (tree / "usr" / "share" / "doc").mkdir(parents=True)
    (tree / "usr" / "share" / "doc" / "left-out").write_bytes(b"x")
    (tree / "usr" / "odd").write_bytes(b"12345")
    (tree / "bin").symlink_to("usr")
    out.mkdir()
    archive = tmp_path / "initrd"
    with archive.open("wb") as file:
        write_initrd(file, tree, [("init", 0o100755, b"#!/bin/sh\n")])
    with archive.open("rb") as file:
        subprocess.run(["cpio", "-id", "--quiet"], stdin=file, cwd=out, check=True)
    assert (out / "usr" / "odd").read_bytes() == b"12345"
    assert (out / "bin").readlink() == Path("usr")
    assert os.access(out / "init", os.X_OK)
    assert not (out / "usr" / "share" / "doc").exists()


def test_a_machine_without_packages_skips_loudly_and_passes_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", HERE / "test_restore.py", "-p", "no:cacheprovider"],
        env={"PATH": str(tmp_path), "XENSAVE_XEN": "1", "XENSAVE_RIG": str(tmp_path / "rig")},
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
    )
    assert done.returncode == 0, done.stdout
    assert "NO REAL XEN WAS ASKED" in done.stdout
    assert "no apt-get" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ skipped in .*", last)
    assert int(last.split()[0]) >= 2 * len(CASES)
