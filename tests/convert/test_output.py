"""A file appears whole or not at all, whatever happens on the way."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.convert.samples import to
from tests.source.moments import Counter, Run
from xensave.convert import ConversionRefused, Settings, convert, output
from xensave.errors import SourceError, Truncated, UsageError
from xensave.source.output import AtomicFile
from xensave.testing import streams
from xensave.testing.sparse import write_sparse_image
from xensave.testing.streams import restorable_context

KILLS = 200


def names(path):
    return sorted(entry.name for entry in path.iterdir())


@pytest.fixture(params=["nameless", "named"])
def kind(request, monkeypatch):
    if request.param == "named":
        opened = os.open

        def without_tmpfile(path, flags, mode=0o777, *, dir_fd=None):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return opened(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", without_tmpfile)
    return request.param


def test_the_name_appears_at_the_end(tmp_path, kind):
    path = tmp_path / "out"
    with AtomicFile(str(path)) as fd:
        os.write(fd, b"new")
        assert not path.exists()
        assert (names(tmp_path) == []) == (kind == "nameless")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("kind")
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(KeyError), AtomicFile(str(path)) as fd:
        os.write(fd, b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]
    with AtomicFile(str(path)) as fd:
        os.write(fd, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "out").symlink_to("real")
    with AtomicFile(str(tmp_path / "out")) as fd:
        os.write(fd, b"new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_no_such_directory(tmp_path):
    with pytest.raises(SourceError, match="No such file"), AtomicFile(str(tmp_path / "no/out")):
        pass


WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Starts a command to which the superuser's right to read everything is not given."""

WRITE_IN_SECRET = """
import os, sys
from xensave.source.output import AtomicFile
try:
    os.listdir(sys.argv[1])
except PermissionError:
    with AtomicFile(sys.argv[1] + "/out") as fd:
        os.write(fd, b"new")
"""


def test_a_directory_that_may_be_written_and_not_read(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o333)
    folder.chmod(0o333)
    root = os.geteuid() == 0
    if root and not shutil.which("setpriv"):
        pytest.skip("needs setpriv, of util-linux")
    command = [*(WITHOUT_RIGHTS if root else ()), sys.executable, "-c", WRITE_IN_SECRET, folder]
    subprocess.run(command, check=True)
    folder.chmod(0o755)
    assert (folder / "out").read_bytes() == b"new"
    assert names(folder) == ["out"]


def test_not_in_place(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(restorable_context("4.17"))
    with pytest.raises(UsageError, match="is the input too"):
        convert(str(path), str(path), Settings("4.21", "4.17"))
    assert path.read_bytes() == restorable_context("4.17")
    assert names(tmp_path) == ["image"]


def test_a_refusal_and_a_cut_image_write_nothing(tmp_path):
    path, out = tmp_path / "image", tmp_path / "out"
    path.write_bytes(streams.context("4.17"))
    with pytest.raises(ConversionRefused):
        convert(str(path), str(out), Settings("4.17", "4.17"))
    path.write_bytes(streams.hvm_image("4.17")[:-9])
    with pytest.raises(Truncated):
        convert(str(path), str(out), Settings("4.17"))
    assert names(tmp_path) == ["image"]


def test_holes_stay_holes(tmp_path):
    path, out = tmp_path / "image", tmp_path / "out"
    size = write_sparse_image(path, 256 << 20)
    convert(str(path), str(out), Settings("4.17"))
    assert out.stat().st_size == size
    assert out.stat().st_blocks * 512 < 8 << 20
    assert subprocess.run(["cmp", path, out], check=False).returncode == 0


def test_a_device_is_written_to(tmp_path):
    path, fifo = tmp_path / "image", tmp_path / "fifo"
    path.write_bytes(restorable_context("4.17"))
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        convert(str(path), str(fifo), Settings("4.17", "4.17"))
        assert reader.stdout.read() == path.read_bytes()


def test_a_directory_is_no_output(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(restorable_context("4.17"))
    with pytest.raises(SourceError, match="directory"):
        convert(str(path), str(tmp_path), Settings("4.17", "4.17"))


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path, kind):
    """A child of this process converts again and again; each is killed at a moment of its own."""
    path, out = tmp_path / "image", tmp_path / "out"
    image = streams.hvm_image("4.17", pages=200)
    path.write_bytes(image)
    old, new = b"old", to(image, "4.21")
    # What the first conversion of all works out, the children need not.
    convert(str(path), str(out), Settings("4.21"))
    with Counter() as counter:
        convert(str(path), str(out), Settings("4.21"))
    found = []
    for moment in Run(counter.events, counter.steps, counter.opens).moments(KILLS):
        out.write_bytes(old)
        child = os.fork()
        if child == 0:
            with Counter(moment):
                convert(str(path), str(out), Settings("4.21"))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        found.append(out.read_bytes())
    # Up to some moment it is the old one, from then on the new one; both were seen.
    turn = found.index(new)
    assert turn > len(found) // 2
    assert found == [old] * turn + [new] * (KILLS - turn)
    # A kill between the link and the rename leaves the nameless file beside it.
    left = [name for name in names(tmp_path) if name.endswith(".part")]
    assert len(left) < KILLS // 4 or kind == "named"
    assert set(names(tmp_path)) == {"image", "out", *left}


def test_contents_are_on_disk_before_the_name_and_the_name_before_the_end(
    tmp_path, monkeypatch, kind
):
    done = []

    def told(name):
        call = getattr(os, name)

        def noted(first, *others, **words):
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(first).st_mode)
            done.append("sync of the folder" if is_folder else name)
            return call(first, *others, **words)

        monkeypatch.setattr(os, name, noted)

    for name in ("fsync", "rename"):
        told(name)
    with AtomicFile(str(tmp_path / "out")) as fd:
        os.write(fd, b"contents")
    assert done == ["fsync", "rename", "sync of the folder"]


def test_sigterm_leaves_nothing(tmp_path):
    path, out = tmp_path / "fifo", tmp_path / "out"
    os.mkfifo(path)
    command = [sys.executable, "-m", "xensave", "convert", path, out, "--target", "4.17", "-q"]
    with subprocess.Popen(command) as child, Path(path).open("wb") as pipe:
        # More than a pipe holds: the write ends when the command has read some of it.
        pipe.write(streams.hvm_image("4.17", pages=400)[: 1 << 20])
        pipe.flush()
        child.terminate()
        assert child.wait() == -signal.SIGTERM
    assert not out.exists()


@pytest.mark.parametrize("target", ["4.17", "4.16"])
def test_what_stays_is_copied_in_whole_blocks(tmp_path, monkeypatch, target):
    """File systems that share blocks do so at the same place of both files alone.

    For another release a header in front is written anew: what follows begins inside a block.
    """
    limit = 3 * output.SHARED
    monkeypatch.setattr(output, "RUN_LIMIT", limit)
    copied, copy = [], os.copy_file_range

    def seen(src, dst, count, offset):
        done = copy(src, dst, count, offset)
        copied.append((offset, offset - os.lseek(dst, 0, os.SEEK_CUR) + done, done))
        return done

    monkeypatch.setattr(os, "copy_file_range", seen)
    source, result = tmp_path / "in", tmp_path / "out"
    page = bytes(range(256)) * 16
    record = streams.page_data(range(200), page)
    source.write_bytes(streams.libxc_stream(record * 30 + streams.hvm_tail("4.17")))
    convert(str(source), str(result), Settings(target))
    same = result.read_bytes() == source.read_bytes()
    assert same == (target == "4.17")
    assert result.stat().st_size == source.stat().st_size
    ends = [offset + count for offset, _, count in copied]
    assert len(ends) >= 5
    assert all(shift == 0 for _, shift, _ in copied)
    long = [(offset, offset + count) for offset, _, count in copied if count >= output.SHARED]
    assert sum(end - offset for offset, end in long) > source.stat().st_size - 2 * output.SHARED
    assert all(offset % output.SHARED == 0 for offset, _ in long)
    assert all(end % output.SHARED == 0 for _, end in long[:-1])
    assert max(ends) == source.stat().st_size
