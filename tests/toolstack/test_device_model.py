"""Sections of QEMU's state against the QEMU of the target, as an image saved there has them."""

import io
import json
from pathlib import Path

import pytest

import xensave
from xensave.cli import main
from xensave.edit.document.decode import decode_pieces
from xensave.edit.document.encode import Document, write_document
from xensave.engine.verdict import Accepted, Refused
from xensave.source import open_source
from xensave.toolstack.restore import judge
from xensave.toolstack.scope import EMULATOR

ROOT = Path(__file__).parents[2]
HVM1 = ROOT / "examples" / "hvm1.img.zst"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Return what makes an image of the sample whose QEMU has other sections."""
    folder = tmp_path_factory.mktemp("other")

    def make(change):
        with open_source(HVM1) as source:
            document = json.loads("\n".join(map("".join, decode_pieces(source, None))))
        (state,) = [item for item in document["events"] if "sections" in item]
        change({section["name"]: section for section in state["sections"]}, state["sections"])
        path = folder / f"{len(list(folder.iterdir()))}.img"
        with path.open("wb") as file, open_source(HVM1) as source:
            loaded = Document.load(io.StringIO(json.dumps(document)))
            write_document(loaded, source, file.fileno())
        return path

    return make


def verdict(target):
    with xensave.open(HVM1) as image, xensave.open(target) as other:
        return judge(image.facts, "4.17", emulators=other.emulators)


def test_its_own_qemu():
    found = verdict(HVM1)
    assert isinstance(found, Accepted)
    # What was looked at is no longer taken for granted.
    assert EMULATOR.sentence not in found.assumes
    with xensave.open(HVM1) as image:
        assert EMULATOR.sentence in judge(image.facts, "4.17").assumes


def test_a_newer_qemu_with_more_devices(other):
    def change(by_name, sections):
        by_name["apic"]["version"] += 1
        sections.append({**by_name["timer"], "name": "another", "id": 99})

    assert isinstance(verdict(other(change)), Accepted)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda by_name, _: by_name["apic"].update(version=2), "apic[0] (version 3, it has"),
        (lambda by_name, _: by_name["port92"].update(name="x"), "port92[0] (it has no such"),
        (lambda by_name, _: by_name["dma"].update(instance=7), "dma[1] (it has no such"),
        (lambda _, sections: sections.__delitem__(slice(10)), "and 2 more"),
    ],
)
def test_what_an_older_qemu_does_not_read(change, named, other):
    found = verdict(other(change))
    assert isinstance(found, Refused)
    assert (found.rule, found.layer, found.record) == (
        "QEMU_SECTIONS",
        "libxl",
        "libxl EMULATOR_CONTEXT",
    )
    assert named in found.reason


def test_the_command(other, capsys):
    older = other(lambda by_name, _: by_name["apic"].update(version=2))
    assert main(["check", str(HVM1), "-t", "4.17", "--emulator", str(HVM1)]) == 0
    assert "device model" not in capsys.readouterr().out
    assert main(["check", str(HVM1), "-t", "4.17", "--emulator", str(older)]) == 1
    assert "does not read apic[0]" in capsys.readouterr().out
    context = str(ROOT / "examples" / "pvh1.ctx")
    assert main(["check", str(HVM1), "-t", "4.17", "--emulator", context]) == 2
    assert "holds no state of QEMU" in capsys.readouterr().err
