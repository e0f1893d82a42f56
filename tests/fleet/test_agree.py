"""Rows of a scan say what `check` and `convert` say, of every sample that there is."""

import io
import json
import subprocess
import sys
import tarfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

pq = pytest.importorskip("pyarrow.parquet")

from tests.source.archives import take_out
from xensave.cli import main
from xensave.fleet.pool import ProcessPool
from xensave.fleet.scan import Question, scan
from xensave.source import open_source, read_all

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
TARGETS = ("4.17.7", "4.9.4", "4.20.0")
FOLDERS = ("images", "containers", "reports", "contexts", "moments", "memory")
SUFFIXES = (".img.zst", ".save.zst", ".img", ".ctx", ".img.xz", ".stream.xz")
RESTORES = SHARED / "restores" / "make.py"
needs_samples = pytest.mark.skipif(not SHARED.is_dir(), reason="NO SAMPLES: ../shared is not here")


def answer_of(*words):
    """Return a command's JSON and what it said on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        main([*words])
    return (json.loads(out.getvalue()) if out.getvalue() else {}), err.getvalue()


def agree(paths, folder, targets=TARGETS):
    """Compare the rows of files with what check and convert say; return how many verdicts."""
    table = folder / "fleet.parquet"
    question = Question(targets)
    scan([str(path) for path in paths], str(table), question, ProcessPool(question, 1))
    rows = pq.read_table(table).to_pylist()
    assert len(rows) == len(paths)
    count = 0
    for row in rows:
        address = row["address"]
        for target in targets if not row["verdicts"] else ():
            answer, error = answer_of("check", "--json", "-t", target, address)
            assert answer.get("accepted") is None, (address, target, row["error"], answer)
            assert error or answer
        for verdict in row["verdicts"] or ():
            count += 1
            where = (address, verdict)
            answer, error = answer_of("check", "--json", "-t", verdict["target"], address)
            assert answer, (where, error)
            assert verdict["accepted"] == answer["accepted"], (where, answer)
            for key in ("record", "rule", "errno"):
                assert (verdict[key] or "") == (answer[key] or ""), (where, answer)
            if verdict["accepted"] is False:
                convertible(row, verdict, folder)
    return count


def convertible(row, verdict, folder):
    """An image is convertible where convert writes it and check does not refuse the result."""
    out = folder / "converted"
    out.unlink(missing_ok=True)
    words = ("convert", "--target", verdict["target"], "--allow-loss", "--json")
    answer, error = answer_of(*words, row["address"], str(out))
    written = out.exists()
    assert written == (not error and not answer["refused"])
    accepted = False
    if written:
        after, _ = answer_of("check", "--json", "-t", verdict["target"], str(out))
        accepted = after["accepted"] is not False
    assert verdict["convertible"] == accepted, (row["address"], verdict, error)
    if accepted:
        losses = [
            f"{change['record']}: {loss['field']} = {loss['value']}"
            for change in answer["changes"]
            for loss in change["loss"]
        ]
        assert verdict["losses"] == losses[:16]


def plain(path, folder):
    """Return a sample as a plain file, so that a glance can be had at it."""
    if path.suffix not in (".zst", ".xz"):
        return path
    out = folder / f"{path.parent.name}-{path.stem}"
    with open_source(str(path)) as source:
        out.write_bytes(read_all(source, 1 << 30))
    return out


@needs_samples
@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_samples(name, tmp_path):
    found = sorted((SHARED / "data" / name).iterdir())
    paths = [plain(path, tmp_path) for path in found if path.name.endswith(SUFFIXES)]
    assert agree(paths, tmp_path) >= len(paths)


def test_what_is_nearly_an_image(tmp_path):
    """A damaged first byte is for the hypervisor to judge; a stranger's file is none."""
    context = Path("examples/pvh1.ctx").read_bytes()
    with open_source("examples/hvm1.img.zst") as source:
        image = read_all(source)
    for name, data in {
        "nearly.ctx": b"\2" + context[1:],
        "short.ctx": context[:5],
        "nearly.img": b"XXX" + image[3:100_000],
        "version.img": image.replace(b"\3\0\0\0", b"\4\0\0\0", 1),
        "stranger": b"no image" * 100,
    }.items():
        (tmp_path / name).write_bytes(data)
    paths = [path for path in tmp_path.iterdir() if path.suffix != ".parquet"]
    assert agree(paths, tmp_path, ("4.17.7", "4.9.4")) == 8


@needs_samples
@pytest.mark.slow
def test_legacy_streams(tmp_path):
    for packed in (SHARED / "data" / "legacy").glob("*.tar.zst"):
        with (
            open_source(str(packed)) as source,
            tarfile.open(fileobj=io.BytesIO(read_all(source, 1 << 30))) as tar,
        ):
            take_out(tar, tmp_path / "tar")
    paths = [path for path in (tmp_path / "tar").rglob("*") if path.is_file()]
    paths += [plain(path, tmp_path) for path in (SHARED / "data/legacy").glob("hvm1.*.zst")]
    assert agree(paths, tmp_path) >= len(paths) // 2


@needs_samples
@pytest.mark.slow
def test_damaged_images_of_a_real_xen(tmp_path):
    """Every twelfth of the cases that a real Xen was asked about: each is 25 MB."""
    names = [json.loads(line)["name"] for line in (RESTORES.parent / "cases.jsonl").open()][::12]
    for name in names:
        image = tmp_path / f"{name}.img"
        subprocess.run([sys.executable, str(RESTORES), name, str(image)], check=True, stdout=-3)
        agree([image], tmp_path, ("4.17.7", "4.13.5"))
        image.unlink()
