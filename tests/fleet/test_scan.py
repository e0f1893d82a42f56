"""A scan of files: rows, resuming, killed workers, and that rows agree with `check`."""

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import process
from multiprocessing import active_children
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")

from tests.fleet.servers.web import Web
from xensave.errors import SourceError, UsageError
from xensave.fleet.parts import PATIENCE, ROWS, PartsWriter, folder_of, locked, parts_of
from xensave.fleet.plan import plan, script
from xensave.fleet.pool import ProcessPool
from xensave.fleet.query import ask
from xensave.fleet.row import error_row
from xensave.fleet.scan import Question, scan
from xensave.fleet.schema import COLUMNS, STRUCTS, VERSION_KEY
from xensave.source import open_source, read_all
from xensave.source.remote.addresses import StoreObject
from xensave.testing import frames, legacy

SECONDS_TO_END = 600
"""What waits longer for its end is taken for one that waits without end."""

ROOT = Path(__file__).parents[2]
QUESTION = Question(("4.17.7", "4.13.5"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder: an image, contexts, a compressed image, a cut one, and a file that is none."""
    folder = tmp_path_factory.mktemp("fleet")
    with open_source(str(ROOT / "examples/hvm1.img.zst")) as source:
        whole = read_all(source)
    (folder / "a").mkdir()
    (folder / "a/hvm1.img").write_bytes(whole)
    (folder / "cut.img").write_bytes(whole[:3_000_000])
    (folder / "text.txt").write_text("no image\n")
    for name in ("pvh1.ctx", "hvm1.ctx", "hvm1.img.zst"):
        shutil.copy(ROOT / "examples" / name, folder / name)
    return folder


def rows_of(table):
    rows = pq.read_table(table).to_pylist()
    for row in rows:
        row.pop("scanned")
    return {row["address"]: row for row in rows}


def run(sources, table, question=QUESTION, jobs=1):
    return scan([str(each) for each in sources], str(table), question, ProcessPool(question, jobs))


def test_a_row_for_each_file(images, tmp_path):
    table = tmp_path / "fleet.parquet"
    result = run([images], table)
    rows = rows_of(table)
    assert (result.rows, result.looked_at) == (6, 6)
    assert set(rows) == {str(path) for path in images.rglob("*") if path.is_file()}
    image = rows[str(images / "a/hvm1.img")]
    assert image["containers"] == ["xl", "libxl v2", "libxc v3", "HVM context"]
    assert (image["type"], image["vcpus"], image["xen"], image["stream"]) == ("hvm", 1, "4.17", 3)
    assert (image["read"], image["complete"], image["error"]) == ("glance", True, None)
    assert image["unread"] > 20_000_000
    assert "pku" in image["features"]
    assert [verdict["target"] for verdict in image["verdicts"]] == ["4.17.7", "4.13.5"]
    assert [verdict["accepted"] for verdict in image["verdicts"]] == [True, False]
    assert image["verdicts"][1]["convertible"] is True
    packed = rows[str(images / "hvm1.img.zst")]
    assert (packed["read"], packed["unread"]) == ("walk", 0)
    assert rows[str(images / "text.txt")]["error"]
    assert rows[str(images / "cut.img")]["complete"] is False
    assert not parts_of(str(table))


FRAMES = {
    "libvirt": (frames.libvirt_file(), "guest", "f9db1d43-ac22-4143-ae90-af62d1d61a74", 32 << 20),
    "xenopsd": (
        frames.suspend_image(),
        'guest ("quoted")',
        "7d1c2a34-5b6e-4f70-8a91-b2c3d4e5f601",
        32 << 20,
    ),
    "xend": (frames.xend_file(legacy.hvm_stream()), "guest", "7d1c2a34", 32 << 20),
}


@pytest.mark.parametrize("toolstack", FRAMES)
def test_a_guest_is_named_whatever_the_toolstack(toolstack, tmp_path):
    data, name, uuid, memory = FRAMES[toolstack]
    (tmp_path / "image").write_bytes(data)
    run([tmp_path / "image"], tmp_path / "fleet.parquet")
    (row,) = rows_of(tmp_path / "fleet.parquet").values()
    found = [row[key] for key in ("toolstack", "guest", "uuid", "memory", "type")]
    assert found == [toolstack, name, uuid, memory, "hvm"]


def test_a_second_run_looks_at_what_is_new_or_changed(images, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    table = tmp_path / "fleet.parquet"
    run([folder], table)
    assert run([folder], table).looked_at == 0
    os.utime(folder / "pvh1.ctx", (1, 1))
    shutil.copy(folder / "pvh1.ctx", folder / "new.ctx")
    (folder / "hvm1.ctx").unlink()
    result = run([folder], table)
    assert (result.rows, result.looked_at) == (6, 2)
    assert str(folder / "hvm1.ctx") not in rows_of(table)
    assert run([folder], table, Question(("4.17.7",))).looked_at == 6


def test_two_workers_give_the_rows_of_one(images, tmp_path):
    run([images], tmp_path / "one.parquet", jobs=1)
    run([images], tmp_path / "two.parquet", jobs=2)
    assert rows_of(tmp_path / "one.parquet") == rows_of(tmp_path / "two.parquet")


@pytest.fixture
def endless(images, tmp_path):
    """Starts a scan of a folder, and of an image that never comes; returns when it waits for it."""
    pytest.importorskip("aiohttp", reason="http:// needs aiohttp: pip install 'xensave[http]'")
    web, waits = Web(), threading.Event()
    address = web.put("last.ctx", (images / "pvh1.ctx").read_bytes())
    web.trouble.plan, web.trouble.change = ["", "silent"], waits.set

    def start(folder, table, *words):
        command = [sys.executable, "-m", "xensave", "scan", str(folder), address, "-o", str(table)]
        # Whoever has the output open is still there: what is read of it ends with the last worker.
        running = subprocess.Popen(
            [*command, *words], stdout=subprocess.PIPE, start_new_session=True
        )
        assert waits.wait(SECONDS_TO_END)
        return running

    yield start
    web.close()


@pytest.mark.slow
def test_a_killed_scan_goes_on_and_gives_the_same_rows(images, tmp_path, endless):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(ROWS + 100):
        os.link(images / "pvh1.ctx", folder / f"{number:04}.ctx")
    table, other = tmp_path / "fleet.parquet", tmp_path / "whole.parquet"
    running = endless(folder, table, "-t", "4.17.7", "-t", "4.13.5", "--jobs", "1")
    running.kill()
    running.communicate()
    had = sum(pq.read_table(part).num_rows for part in parts_of(str(table)))
    assert ROWS <= had <= ROWS + 100
    assert not table.exists()
    assert ask(str(table), "SELECT count(*) FROM fleet").rows == [(had,)]
    assert run([folder], table).looked_at == ROWS + 100 - had
    run([folder], other)
    assert rows_of(table) == rows_of(other)


def test_the_page_lists_the_columns():
    page = (ROOT / "docs/reference/fleet.md").read_text()
    for column in COLUMNS:
        line = f"| `{column.name}` | {column.type} | {column.text} |"
        assert line in page, "put this line into its table of docs/reference/fleet.md"
    for name in STRUCTS:
        assert f"\n| {name} | " in page, "put a line on it into docs/reference/fleet.md"


@pytest.fixture
def device(images, tmp_path):
    """A block device that holds an image, and what lay there before."""
    disk = tmp_path / "disk"
    disk.write_bytes((images / "a/hvm1.img").read_bytes() + b"old" * 4096)
    os.truncate(disk, 32 << 20)
    done = subprocess.run(
        ["losetup", "--find", "--show", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"NO LOOP DEVICE: {done.stderr.strip()}")
    yield done.stdout.strip()
    subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


@pytest.mark.skipif(shutil.which("losetup") is None, reason="NO LOOP DEVICE: no losetup")
def test_a_block_device(device, images, tmp_path):
    table = tmp_path / "fleet.parquet"
    run([device, images / "a/hvm1.img"], table)
    rows = rows_of(table)
    row, plain = rows[device], rows[str(images / "a/hvm1.img")]
    assert (row["size"], row["error"], row["guest"]) == (32 << 20, None, plain["guest"])
    assert [each["accepted"] for each in row["verdicts"]] == [True, False]
    assert row["verdicts"][1]["convertible"] is True
    # Nothing says when a device was written to: it is looked at each time.
    assert run([device, images / "a/hvm1.img"], table).looked_at == 1


def test_the_table_is_no_image(images, tmp_path, monkeypatch):
    shutil.copy(images / "pvh1.ctx", tmp_path / "a.ctx")
    monkeypatch.chdir(tmp_path)
    folder_of("fleet.parquet").mkdir()
    shutil.copy(images / "pvh1.ctx", "fleet.parquet.parts/other.ctx")
    for source, name in ((".", "./a.ctx"), ("*", "a.ctx"), (str(tmp_path), f"{tmp_path}/a.ctx")):
        run([source], "fleet.parquet")
        run([source], "fleet.parquet")
        assert set(rows_of("fleet.parquet")) == {name}
    assert Path("fleet.parquet.parts/other.ctx").is_file()


def test_what_a_folder_has_beside_files(images, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    (folder / "closed").mkdir(parents=True)
    shutil.copy(images / "pvh1.ctx", folder / "a.ctx")
    (folder / "gone.img").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    run([folder], tmp_path / "fleet.parquet")
    rows = rows_of(tmp_path / "fleet.parquet")
    told = {Path(name).name for name, row in rows.items() if row["error"]}
    assert (told, len(rows)) == ({"gone.img", "closed"}, 3)
    monkeypatch.undo()
    run([folder / "*"], tmp_path / "fleet.parquet")
    assert {Path(name).name for name in rows_of(tmp_path / "fleet.parquet")} == {
        "a.ctx",
        "gone.img",
    }
    run([folder / "pipe"], tmp_path / "fleet.parquet")
    [row] = rows_of(tmp_path / "fleet.parquet").values()
    assert "no file" in row["error"]


def test_a_file_that_is_no_table_is_not_written_over(images, tmp_path):
    sales = pa.table({"address": ["x"]})
    later = sales.replace_schema_metadata({VERSION_KEY: b"99"})
    for table, words in ((sales, "is no table"), (later, "version 99")):
        path = tmp_path / "sales.parquet"
        pq.write_table(table, path)
        before = path.read_bytes()
        with pytest.raises(SourceError, match=words):
            run([images], path)
        assert path.read_bytes() == before
    with pytest.raises(SourceError):
        run([images], tmp_path)


def test_a_release_that_is_not_there_is_told_before_any_image(tmp_path):
    for target in ("4.99", "nonsense", "4.17.77"):
        with pytest.raises(UsageError):
            run([tmp_path / "no images"], tmp_path / "fleet.parquet", Question(("4.17.7", target)))
    assert not list(tmp_path.iterdir())


def test_one_scan_at_a_time_writes_a_table(images, tmp_path):
    table = str(tmp_path / "fleet.parquet")
    with locked(table), pytest.raises(SourceError, match="another scan"):
        run([images], table)
    assert run([images], table).rows == 6


def test_a_damaged_part_is_named_and_foreign_files_stay(images, tmp_path):
    table = tmp_path / "fleet.parquet"
    run([images], tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    folder = folder_of(str(table))
    folder.mkdir()
    part = folder / "00000001.parquet"
    for damaged in (b"", whole[:100], whole[:4] + bytes(2000) + whole[2004:]):
        part.write_bytes(damaged)
        with pytest.raises(SourceError, match="00000001"):
            run([images], table)
    part.unlink()
    (folder / "notes.parquet").write_text("mine")
    assert run([images], table).rows == 6
    assert [path.name for path in folder.iterdir()] == ["notes.parquet"]


def test_a_full_disk_is_an_error_of_one_line(images, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    run([images], tmp_path / "fleet.parquet")
    before = (tmp_path / "fleet.parquet").read_bytes()
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(SourceError, match="No space left"):
        run([images], tmp_path / "fleet.parquet", Question(("4.17.7",)))
    assert (tmp_path / "fleet.parquet").read_bytes() == before


def test_rows_are_kept_before_a_part_is_full(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("xensave.fleet.parts.time.monotonic", lambda: clock[0])
    table = str(tmp_path / "fleet.parquet")
    with locked(table):
        writer = PartsWriter(table, "")
        for number in range(3):
            writer.add([error_row(StoreObject(str(number), -1), "no matter")])
        assert not parts_of(table)
        clock[0] += PATIENCE
        writer.add([error_row(StoreObject("3", -1), "no matter")])
        assert [pq.read_table(part).num_rows for part in parts_of(table)] == [4]
        writer.add([error_row(StoreObject("4", -1), "no matter")])
        assert len(parts_of(table)) == 1


def test_what_is_walked_is_told_one_by_one(images, tmp_path):
    told = []
    question = Question(("4.17.7",), walk=True)
    scan([str(images)], str(tmp_path / "t"), question, ProcessPool(question, 1), told.append)
    assert [progress.images for progress in told] == list(range(7))


def test_a_table_whose_parts_say_all_of_it_again_is_asked(images, tmp_path):
    """As a kill leaves them behind the whole table's rename, before the parts are removed."""
    table = tmp_path / "fleet.parquet"
    run([images], table)
    rows = ask(str(table), "select * from fleet").rows
    folder = Path(folder_of(str(table)))
    folder.mkdir()
    shutil.copy(table, folder / "00000001.parquet")
    assert ask(str(table), "select * from fleet").rows == rows


def test_a_scan_without_room_for_workers_says_so(images, tmp_path, monkeypatch):
    """As under a limit on memory or threads; it waited for ever for the workers it had."""

    def none(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(process._ExecutorManagerThread, "start", none)
    table = tmp_path / "fleet.parquet"
    with pytest.raises(SourceError, match=r"can't start new thread.*--jobs 1 needs none"):
        run([images], table, jobs=2)
    for worker in active_children():
        worker.join()
        assert worker.exitcode == -signal.SIGKILL


def test_workers_of_a_killed_scan_end(images, tmp_path, endless):
    """One of them reads what does not come, the other has nothing to do."""
    running = endless(images, tmp_path / "fleet.parquet", "-t", "4.17.7", "--jobs", "2")
    assert running.poll() is None
    running.kill()
    ended, _, _ = select.select([running.stdout], [], [], SECONDS_TO_END)
    if not ended:
        os.killpg(running.pid, signal.SIGKILL)
    assert running.stdout.read() == b""
    running.wait()
    assert ended, "workers wait on"


NAMES = [
    b"a\xff.ctx",
    b"a\\xff.ctx",
    b"a%FF.ctx",
    b"-f\xe9 '$(id)`.ctx",
    b"n\n\xff.ctx",
    b"d\xc3\xa9.ctx",
]


def test_the_plan_of_names_that_are_no_unicode_runs(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in NAMES:
        shutil.copy("examples/hvm1.ctx", images / os.fsdecode(name))
    table = str(tmp_path / "fleet.parquet")
    result = run([images], table, Question(("4.13",)))
    assert result.rows == len(NAMES)
    plans = plan(table, "4.13")
    command = tmp_path / "bin" / "xensave"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m xensave "$@" >/dev/null\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    text = "\n".join(script(plans, "4.13", str(tmp_path / "out")))
    text.encode()
    subprocess.run(["sh", "-c", text], check=True, env={**os.environ, "PATH": path})
    assert {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()} == set(NAMES)
    # A second run knows them again.
    assert run([images], table, Question(("4.13",))).looked_at == 0
