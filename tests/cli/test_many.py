"""Many inputs: every command that takes images takes them alike, and goes on after a bad one."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from xensave.cli import main
from xensave.cli.guest.check import _code
from xensave.engine.verdict import Accepted, Depends, Refused
from xensave.image.input import Item, Unreadable, expand

EXAMPLES = Path(__file__).parents[2] / "examples"
HVM = (EXAMPLES / "hvm1.ctx").read_bytes()
PVH = (EXAMPLES / "pvh1.ctx").read_bytes()
IMAGE = (EXAMPLES / "hvm1.img.zst").read_bytes()
COMMANDS = [["show"], ["verify"], ["check", "-t", "4.17"]]


def archive(members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return data.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A directory as an operator has one: images, contexts, other files, a FIFO, a broken link."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.ctx").write_bytes(HVM)
    (tmp_path / "guest.img.zst").write_bytes(IMAGE)
    (tmp_path / "b.bin").write_bytes(PVH)
    (tmp_path / "notes.txt").write_text("not an image\n" * 99)
    (tmp_path / "log.gz").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.ctx")
    (tmp_path / "gone.ctx").symlink_to(tmp_path / "nowhere")
    return tmp_path


def names(words):
    return [(each.name, isinstance(each, Item)) for each in expand(words)]


def test_what_counts_in_a_directory(folder):
    assert names([str(folder)]) == [
        (f"{folder}/b.bin", True),
        (f"{folder}/deep/a.ctx", True),
        (f"{folder}/gone.ctx", False),
        (f"{folder}/guest.img.zst", True),
    ]


def test_a_glob_that_no_shell_expanded(folder):
    assert names([f"{folder}/*.bin"]) == [(f"{folder}/b.bin", True)]
    assert names([f"{folder}/**/*.ctx"])[0] == (f"{folder}/deep/a.ctx", True)
    assert names([f"{folder}/*.none"]) == [(f"{folder}/*.none", False)]
    (folder / "odd[1].ctx").write_bytes(PVH)
    assert names([f"{folder}/odd[1].ctx"]) == [(f"{folder}/odd[1].ctx", True)]


def test_a_tar_is_taken_as_its_directory_is(folder):
    path = folder / "all.tar.zst"
    members = {"x/guest.img.zst": IMAGE, "x/a.ctx": HVM, "x/cut.ctx": HVM[:-3]}
    path.write_bytes(zstandard.compress(archive(members)))
    assert names([str(path)]) == [(f"{path}/{name}", True) for name in members]


def test_a_cut_tar_is_told_after_its_members(folder):
    path = folder / "cut.tar"
    path.write_bytes(archive({"a.ctx": HVM, "b.ctx": HVM})[:8000])
    found = list(expand([str(path)]))
    assert found[0].name == f"{path}/a.ctx"
    assert isinstance(found[-1], Unreadable)


@pytest.mark.parametrize("words", [["verify"], ["check", "-t", "4.17"], ["show"]])
def test_a_tar_without_files_is_no_answer(words, tmp_path, capsys):
    path = tmp_path / "folders.tar"
    with tarfile.open(path, "w") as tar:
        folder = tarfile.TarInfo("images")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert main([*words, str(path)]) == 2
    assert capsys.readouterr().err.rstrip().endswith("folders.tar: holds no file")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_it_goes_on_after_what_cannot_be_read(words, folder, capsys):
    corrupt = folder / "corrupt"
    corrupt.write_bytes(b"\x28\xb5\x2f\xfd" + b"\xff" * 40)
    assert main([*words, str(folder / "none"), str(corrupt), str(folder)]) == 2
    out, err = capsys.readouterr()
    assert f"{folder}/none: No such file" in err
    assert f"{folder}/gone.ctx: No such file" in err
    assert "corrupt zstd data" in out + err
    for name in ("b.bin", "deep/a.ctx", "guest.img.zst"):
        assert f"{folder}/{name}" in out


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_process_substitution_is_read_once_and_whole(words):
    script = f"xensave {' '.join(words)} <(zstd -dc examples/hvm1.img.zst) --json"
    if os.system("command -v zstd >/dev/null") != 0:
        script = script.replace("zstd -dc", f"{sys.executable} -m tests.cli.unzstd")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, env=environment, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)


def test_check_sums_up_and_filters(folder, capsys):
    (folder / "cut.ctx").write_bytes(HVM[:-3])
    (folder / "gone.ctx").unlink()
    assert main(["check", "-t", "4.17", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "4 images: 3 restore, 1 do not"
    assert sum("device model" in line for line in lines) == 1
    assert main(["check", "-t", "4.17", str(folder), "--only", "refused"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"{folder}/cut.ctx"]
    assert main(["check", "-t", "4.17", str(folder), "--quiet"]) == 1
    assert capsys.readouterr() == ("", "")


def test_check_fails_on_what_it_is_told_to(folder, capsys):
    depends, refused = Depends(("the host's CPU",)), Refused("RULE", "no")
    assert [_code(depends, "depends"), _code(depends, "refused")] == [1, 0]
    assert [_code(refused, "depends"), _code(refused, "refused")] == [1, 1]
    assert _code(Accepted(), "depends") == 0
    cut = folder / "cut.ctx"
    cut.write_bytes(HVM[:-3])
    assert main(["check", "-t", "4.17", str(cut), "--fail-on", "refused"]) == 1


def test_caveats_are_told_once_for_all_images(folder, capsys):
    for n in range(5):
        (folder / f"copy{n}.img.zst").write_bytes(IMAGE)
    main(["check", "-t", "4.17", str(folder)])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  provided")]
    assert len(told) == len(set(told))


def test_the_matrix_goes_on_too(folder, capsys):
    assert main(["check", "--matrix", "--json", str(folder / "none"), str(folder / "b.bin")]) == 2
    out, err = capsys.readouterr()
    assert "No such file" in err
    assert json.loads(out.splitlines()[-1])["rows"][0]["source"] == f"{folder}/b.bin"


def test_records_of_several_images_are_named(folder, capsys):
    assert main(["show", str(folder / "b.bin"), str(folder / "deep"), "--record", "HEADER"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{folder}/b.bin:\nHEADER[0]")
    assert f"\n{folder}/deep/a.ctx:\nHEADER[0]" in out


READERS = [
    ["memory"], ["memory", "--find", "Xen"], ["decode"], ["report", "-o", "/dev/null"],
]  # fmt: skip


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_every_reader_takes_many_and_goes_on(words, folder, capsys):
    (folder / "gone.ctx").unlink()
    names = [str(folder / "none"), str(folder / "guest*"), str(folder / "deep")]
    assert main([*words, *names]) == 2
    out, err = capsys.readouterr()
    assert f"{folder}/none: No such file" in err
    if words[0] != "report":
        assert f"{folder}/guest.img.zst" in out


WRITERS = [
    (["thin"], "guest.img.zst"),
    (["extract", "--format", "raw"], "guest.img.raw"),
    (["edit", "--set", "CPU[0].rip=1", "-t", "4.17"], "guest.img.zst"),
    (["convert", "-t", "4.17", "--from", "4.17"], "guest.img.zst"),
]


@pytest.mark.parametrize(("words", "name"), WRITERS, ids=lambda each: each[0])
def test_every_writer_takes_many_into_a_directory(words, name, folder, tmp_path_factory, capsys):
    (folder / "bad.ctx").write_bytes(b"junk")
    out = tmp_path_factory.mktemp("out")
    assert main([*words, str(folder / "guest.img.zst"), str(folder / "bad.ctx"), str(out)]) == 1
    shown, err = capsys.readouterr()
    assert shown.splitlines()[-1].startswith("2 images: 1 ")
    assert f"{folder}/bad.ctx: offset 0x0: no Xen save image" in err
    assert [path.name for path in out.iterdir()] == [name]
    # Two of one name would overwrite each other.
    (folder / "deep" / "guest.img.zst").write_bytes(IMAGE)
    assert main([*words, str(folder), str(out)]) == 2
    assert "another of the images is called guest.img" in capsys.readouterr().err
    assert main([*words, str(folder), str(folder / "guest.img.zst")]) == 2
    assert "several images take a directory as OUT" in capsys.readouterr().err


def test_a_member_of_a_tar_is_named_in_errors(folder, tmp_path_factory, capsys):
    path = folder / "all.tar"
    path.write_bytes(archive({"x/guest.img.zst": IMAGE, "x/bad.ctx": b"junk"}))
    out = tmp_path_factory.mktemp("out")
    assert main(["thin", str(path), str(out)]) == 1
    assert f"{path}/x/bad.ctx: offset 0x0" in capsys.readouterr().err
    assert [each.name for each in out.iterdir()] == ["guest.img.zst"]


def test_a_document_that_breaks_off_says_so_and_is_refused(folder, capsys):
    cut = folder / "cut.ctx"
    cut.write_bytes(zstandard.decompress(IMAGE)[:3_000_000])
    assert main(["decode", str(cut)]) == 1
    text = capsys.readouterr().out
    assert json.loads(text)["error"]["kind"] == "Truncated"
    (folder / "cut.json").write_text(text)
    assert main(["encode", str(folder / "cut.json"), str(folder / "cut.img")]) == 1
    assert "breaks off" in capsys.readouterr().err


def test_policies_of_many(capsys):
    image = "examples/hvm1.img.zst"
    assert main(["policy", "show", image, "none", image]) == 2
    out, err = capsys.readouterr()
    assert out.count(f"{image}:\n") == 2
    assert "none: No such file" in err


def test_verify_fails_on_what_it_is_told_to_and_says_the_bad_alone(folder, capsys):
    (folder / "trailing.ctx").write_bytes(HVM + b"x")
    names = [str(folder / "trailing.ctx"), str(folder / "b.bin")]
    assert main(["verify", *names]) == 1
    assert main(["verify", *names, "--fail-on", "error"]) == 0
    capsys.readouterr()
    main(["verify", *names, "--only", "findings"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(names[0]) for line in lines[:-1])
    assert lines[-1] == "2 images: 1 valid, 1 with findings"


def test_plain_verdicts_are_a_line_each(folder, capsys):
    (folder / "gone.ctx").unlink()
    main(["check", "-t", "4.17", "--plain", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines[:-1]] == [
        f"{folder}/b.bin", f"{folder}/deep/a.ctx", f"{folder}/guest.img.zst",
    ]  # fmt: skip


PIPED = [
    ["policy", "show", "-"],
    ["check", "examples/hvm1.ctx", "-t", "4.17", "--host", "-"],
    ["check", "examples/hvm1.ctx", "-t", "4.17", "--policy", "-"],
    ["diff", "-", "examples/hvm1.img.zst"],
    ["memory", "-"],
    ["thin", "-", "/dev/null"],
    ["extract", "-", "/dev/null"],
    ["edit", "-", "--dry-run", "--set", "CPU[0].rip=1", "-t", "4.17"],
    ["report", "-", "-o", "/dev/null"],
    ["convert", "-", "--dry-run", "-t", "4.17"],
]


@pytest.mark.parametrize("words", PIPED, ids=lambda words: words[0])
def test_what_comes_by_a_pipe_is_read_whole(words, folder):
    """No command opens its input twice: of a pipe the first bytes come once."""
    command = [sys.executable, "-m", "xensave", *words]
    named = [word.replace("-", "examples/hvm1.img.zst") if word == "-" else word for word in words]
    shown = [
        subprocess.run(each, input=data, capture_output=True, check=False)
        for each, data in ((command, IMAGE), ([sys.executable, "-m", "xensave", *named], None))
    ]
    assert [done.returncode for done in shown] == [0, 0], shown[0].stderr
    piped, named_out = (done.stdout.replace(b"<stdin>", b"X") for done in shown)
    assert piped == named_out.replace(b"examples/hvm1.img.zst", b"X") or words[0] == "diff"
