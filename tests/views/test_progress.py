"""Progress is shown on a terminal that waits longer than a second, and nowhere else."""

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import PIPE

import pytest

from xensave.source import open_source
from xensave.source.watch import Copied, Counted, counted, watched
from xensave.views.text.progress import Meter, position_of

SLOW = """
import select, sys
from xensave.source import open_source
from xensave.views.text import progress
progress._PATIENCE = {patience}
with progress.progress(sys.stderr):
    with open_source("{path}") as source:
        for _ in range({steps}):
            source.skip(1 << 15)
            if select.select([sys.stdin], [], [], {pause})[0]:
                break
    print("done")
"""

STEPS = 6000
"""Of a tenth of a second: what is awaited has ten minutes to come."""


def on_a_terminal(code, *, stdout=None, until=None):
    """Run code with a terminal as standard error (and output), and return what came there.

    Where what came matches `until`, standard input ends, and with it the slow reading.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=PIPE,
        stderr=theirs,
        stdout=stdout or theirs,
        env=environment,
    )
    os.close(theirs)
    parts = []

    def drain():
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
                if until is not None and re.search(until, b"".join(parts)):
                    process.stdin.close()
        except OSError:
            return

    reader = threading.Thread(target=drain)
    reader.start()
    out = process.stdout.read() if stdout else b""
    process.wait()
    process.stdin.close()
    reader.join()
    os.close(ours)
    return b"".join(parts).decode(), (out or b"").decode()


@pytest.fixture
def slow(tmp_path):
    path = tmp_path / "[bold]guest.img"
    with path.open("wb") as file:
        file.truncate(STEPS << 15)
    return lambda steps, pause, patience=0.1: SLOW.format(
        path=path, steps=steps, pause=pause, patience=patience
    )


def test_bytes_rate_and_time_left_where_it_is_slow(slow):
    shown, _ = on_a_terminal(slow(STEPS, 0.1), until=rb"[kM]B/s")
    assert "[bold]guest.img" in shown
    assert re.search(r"\d/187\.5 MiB", shown), shown
    assert re.search(r"[kM]B/s", shown), shown
    assert re.search(r"\d:\d\d:\d\d", shown), shown
    assert re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", shown.splitlines()[-1]) == "done"


def test_a_scan_counts_images(tmp_path):
    code = """
import select, sys
from xensave.cli import main
from xensave.fleet.pool import ProcessPool
def slowly(self, batches):
    for batch in batches:
        for entry in batch:
            open_source(entry.address).close()
            select.select([sys.stdin], [], [], 600)
            yield [error_row(entry, "slow")]
from xensave.fleet.row import error_row
from xensave.source import open_source
ProcessPool.rows = slowly
sys.exit(main(["scan", {folder!r}, "-t", "4.20", "-o", {folder!r} + ".parquet"]))
"""
    pytest.importorskip("pyarrow")
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(18):
        shutil.copy("examples/pvh1.ctx", folder / f"{number}.ctx")
    shown, _ = on_a_terminal(code.format(folder=str(folder)), until=rb"\d/18")
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"images +[\u2500-\u257f]+ +\d+/18", lines), lines
    assert "ctx" not in shown
    assert "18 rows, 18 looked at" in shown


def test_catalogue_build_counts_releases(tmp_path):
    code = """
import select, sys
from contextlib import nullcontext
from xensave.cli import main
from xensave.errors import SourceError
from xensave.headers.survey import run
def enough(*_):
    raise SourceError("enough")
run.GitRepository = nullcontext
run.series = lambda _: {{"4.16": "abcdefghi", "4.17": "jklmnopqr"}}
def slowly(_, tag):
    select.select([sys.stdin], [], [], 600)
    return run.ReleaseReading(tag, *[None] * 4)
run.read_release = slowly
run.read_history = enough
sys.exit(main(["catalogue", "build", "--xen-git", ".", "--out", {out!r}]))
"""
    shown, _ = on_a_terminal(code.format(out=str(tmp_path)), until=rb"\d/18")
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"releases +[\u2500-\u257f]+ +\d+/18", lines), lines
    assert lines.rstrip().endswith("enough")


def test_things_are_counted_one_after_the_other():
    counts = []
    with watched(counts.append):
        left = [2 - counts[-1].offset for _ in counted("ab", "letters")]
    assert left == [2, 1]
    assert [(type(c), c.name, c.offset, c.size) for c in counts] == [(Counted, "letters", 2, 2)]


def test_nothing_where_it_is_quick(slow):
    shown, _ = on_a_terminal(slow(2, 0, patience=600))
    assert shown == "done\r\n"


def test_output_to_a_pipe_is_untouched(slow):
    shown, out = on_a_terminal(slow(STEPS, 0.1), stdout=PIPE, until=rb"MiB")
    assert out == "done\n"
    assert "MiB" in shown


def test_silent_in_a_pipe(slow):
    command = [sys.executable, "-c", slow(12, 0.1)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        output = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0
    assert output == (b"done\n", b"")


def test_what_is_watched():
    seen = []
    with watched(seen.append), open_source("examples/hvm1.img.zst") as source:
        source.skip(1 << 20)
    assert seen == [source]
    done, total = position_of(source)
    assert 0 < done <= total == Path("examples/hvm1.img.zst").stat().st_size
    with open_source("examples/hvm1.ctx"):
        pass
    assert seen == [source]
    copied = Copied("out", 10)
    copied.add(4)
    assert position_of(copied) == (4, 10)


class _Terminal(io.StringIO):
    def isatty(self):
        return True


class _Late:
    """An input in its middle."""

    name = "/images/" + "a-guest-of-a-long-name" * 3 + ".img.zst"
    offset, size, beneath = 3 << 30, 4 << 30, None


@pytest.mark.parametrize("columns", [20, 30, 40, 50, 60, 80, 100])
def test_it_is_one_line_however_narrow_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("rich.progress.TransferSpeedColumn.render", lambda *_: "1023.9 MB/s")
    out = _Terminal()
    meter = Meter(out)
    meter._source = _Late()
    meter._draw(_Late())
    meter._bar.stop()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue()).replace("\r", "\n")
    drawn = [line for line in shown.split("\n") if line.strip()]
    assert drawn
    assert all("GiB" in line and len(line) <= columns for line in drawn), drawn
