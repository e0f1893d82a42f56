"""What OUT may be besides a new file, and what is said where it cannot be written."""

import errno
import os
import subprocess
import sys
import threading
from contextlib import chdir
from pathlib import Path

import pytest

from xensave.cli import main

CONTEXT = "examples/pvh1.ctx"
CALLS = {
    "thin": ["thin", CONTEXT],
    "convert": ["convert", CONTEXT, "--from", "4.17", "-t", "4.17"],
    "edit": ["edit", CONTEXT, "--set", "CPU[0].rip=1", "--force"],
    "report": ["report", CONTEXT, "-o"],
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def shell(line, folder=None):
    done = subprocess.run(
        f"{sys.executable} -m xensave {line}",
        shell=True,
        capture_output=True,
        check=False,
        cwd=folder,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def result(tmp_path):
    """What a call writes."""

    def written(call):
        path = tmp_path / "result"
        assert main([*call, str(path)]) == 0
        return path.read_bytes()

    return written


@calls
def test_a_link_is_followed_as_cp_follows_it(call, result, tmp_path):
    for name in ("there", "absent"):
        link = tmp_path / f"to-{name}"
        link.symlink_to(name)
        if name == "there":
            (tmp_path / name).write_bytes(b"old")
        assert main([*call, str(link)]) == 0
        assert link.is_symlink()
        assert (tmp_path / name).read_bytes() == result(call)


@calls
def test_another_name_of_a_replaced_file_keeps_what_it_had(call, result, tmp_path):
    """As after a rename over it: a file is replaced, not written into."""
    out, other = tmp_path / "out", tmp_path / "other"
    other.write_bytes(b"old")
    out.hardlink_to(other)
    assert main([*call, str(out)]) == 0
    assert (out.read_bytes(), other.read_bytes()) == (result(call), b"old")


@calls
def test_standard_output_has_names(call, result):
    for name in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert shell(" ".join([*call, name]))[:2] == (0, result(call))


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_what_standard_output_had_stays(name, result, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"old\n")
    code, _, told = shell(f"thin {CONTEXT} {name} >> {log}")
    assert (code, told) == (0, f"{name}: 0 of 0 pages\n")
    assert log.read_bytes() == b"old\n" + result(CALLS["thin"])


@calls
def test_a_fifo_is_written_as_it_is(call, result, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    came = []
    reader = threading.Thread(target=lambda: came.append(fifo.read_bytes()))
    reader.start()
    assert main([*call, str(fifo)]) == 0
    reader.join()
    assert came == [result(call)]
    assert fifo.is_fifo()


@calls
def test_devices_stay_devices(call, capsys):
    assert main([*call, "/dev/null"]) == 0
    capsys.readouterr()
    assert main([*call, "/dev/full"]) == 2
    assert capsys.readouterr().err == f"xensave {call[0]}: /dev/full: No space left on device\n"
    assert Path("/dev/null").is_char_device()


@calls
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("absent/out", "absent/out: No such file or directory"),
        ("file/out", "file/out: Not a directory"),
        ("loop", "loop: Too many levels of symbolic links"),
        ("/proc/out", "/proc/out: No such file or directory"),
        ("/dev/fd/77", "/dev/fd/77: Bad file descriptor"),
    ],
)
def test_what_cannot_be_is_told_by_its_name(call, out, message, tmp_path, capsys):
    call = [str(Path(word).resolve()) if word == CONTEXT else word for word in call]
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with chdir(tmp_path):
        assert main([*call, out]) == 2
    assert capsys.readouterr().err == f"xensave {call[0]}: {message}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


@calls
def test_a_folder_that_cannot_be_written(call, tmp_path, monkeypatch, capsys):
    """As the system says it to who is no superuser."""

    def refused(path, *words, **more):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    opened = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda *words, **more: (refused if words[1] & os.O_WRONLY else opened)(*words, **more),
    )
    assert main([*call, str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"xensave {call[0]}: {tmp_path}/out: Permission denied\n"


@pytest.mark.parametrize("command", ["thin", "convert", "edit", "extract"])
def test_many_go_into_a_folder_and_one_too(command, tmp_path, capsys):
    words = {**CALLS, "extract": ["extract", CONTEXT]}[command]
    image = "examples/hvm1.img.zst" if command in ("thin", "extract") else CONTEXT
    words = [image if word == CONTEXT else word for word in words]
    assert main([*words, str(tmp_path)]) == 0
    [path] = tmp_path.iterdir()
    assert path.name == Path(image).name if command != "extract" else "hvm1.img.elf"
    capsys.readouterr()
    assert main([*words, ""]) == 2
    assert capsys.readouterr().err == f"xensave {command}: where to? OUT is empty\n"


def test_a_page_is_no_folder(tmp_path, capsys):
    assert main([*CALLS["report"], str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"xensave report: {tmp_path}: is a directory\n"
