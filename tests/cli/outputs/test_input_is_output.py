"""No command writes its result over a file that it reads, whatever the two are called."""

import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

import xensave
from xensave.cli import COMMANDS, main, module_of
from xensave.cli.parser import command_parser
from xensave.convert.thin import thin
from xensave.errors import UsageError
from xensave.testing.legacy import hvm_stream
from xensave.testing.vhd import vhd

zstandard = pytest.importorskip("zstandard")

NO_FILES = {
    *("R", "N", "N=RECORD", "NAME", "NAME[:INSTANCE]", "NAME[,NAME...]", "FIELD", "FIELD=VALUE"),
    *("RELEASE", "FEATURE", "SQL", "PATTERN", "TEXT", "SIZE", "METHOD[:LEVEL]", "SCHEDULER"),
    *("OLD", "NEW", "KIND", "S", "VENDOR", "RANGE", "RANGES", "REV", "ADDRESS", "ID", "URL"),
    *("DATE", "SECONDS", "DIR"),
}
"""Metavars of what is no file; a command's other ones are files that it reads, or OUTPUTS."""

NUMBERS = {("memory", "--physical"), ("memory", "--virtual")}

OUTPUTS = {
    ("check", "--plot"): ".svg",
    ("memory", "--plot"): ".svg",
    ("report", "--output"): ".html",
    ("extract", "OUT"): "",
    ("gdbserver", "--socket"): "",
    ("convert", "OUT"): "",
    ("thin", "OUT"): "",
    ("edit", "OUT"): "",
    ("encode", "OUT"): "",
    ("convert-legacy-stream", "--out"): "",
    ("scan", "--output"): "",
    ("plan", "--script"): "",
    ("records", "--plot"): ".svg",
    ("matrix", "--plot"): ".svg",
    ("review", "--emit-checker"): "",
    ("patchwork", "--state"): "",
}
"""The arguments that name a file to write, and how that must be called."""

MORE = {
    "check": ["-t", "4.17"],
    "convert": ["-t", "4.17"],
    "edit": ["--set", "CPU[0].rip=1", "-t", "4.17"],
    "scan": ["-t", "4.17"],
    "plan": ["-t", "4.17"],
    "patchwork": ["--server", "http://127.0.0.1:9", "--project", "x", "--series", "1"],
    "convert-legacy-stream": ["-w", "64", "-g", "hvm"],
}

OTHERWISE = {
    # They do not go together; or what is there is not what the command would write over.
    ("records", "--plot"),
    ("review", "--emit-checker"),
    ("patchwork", "--state"),
    ("gdbserver", "--socket"),
    ("scan", "--output"),
}
"""Outputs that are refused in other words, for other reasons."""


def arguments():
    """Every argument of every command that takes a word: the command, its name, its metavar."""
    for command in COMMANDS:
        for action in command_parser(command, import_module(module_of(command)))._actions:
            if action.nargs != 0 and not action.choices:
                options = [each for each in action.option_strings if each.startswith("--")]
                yield command, options[0] if options else action.metavar, action.metavar


class Pair(NamedTuple):
    """A command, an output of it, and an input that the output may be the same file as."""

    command: str
    out: str
    name: str

    @property
    def suffix(self):
        return OUTPUTS[self.command, self.out]

    @property
    def otherwise(self):
        return (self.command, self.out) in OTHERWISE


PAIRS = sorted(
    Pair(command, out, name)
    for command, out in OUTPUTS
    for other, name, metavar in arguments()
    if other == command
    and (command, name) not in OUTPUTS.keys() | NUMBERS
    and metavar not in NO_FILES
)


def test_the_outputs_are_arguments_of_commands():
    assert OUTPUTS.keys() <= {(command, name) for command, name, _ in arguments()}


def test_a_metavar_tells_whether_it_is_a_file():
    files = {metavar for *_, metavar in arguments()} - NO_FILES
    assert files == {
        *("IMAGE", "INPUT", "IN", "FILE", "FD|FILE", "PATH", "TABLE", "SOURCE", "JSON"),
        *("VMLINUX", "OUT", "A", "B", "X"),
    }


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """What each kind of input may hold."""
    folder = tmp_path_factory.mktemp("samples")
    packed = Path("examples/hvm1.img.zst").read_bytes()
    image = folder / "image"
    image.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    document = folder / "document"
    with document.open("w") as file:
        subprocess.run([sys.executable, "-m", "xensave", "decode", image], stdout=file, check=True)
    (folder / "text").write_text("schema = 1\n")
    (folder / "vmcoreinfo").write_text("OSRELEASE=6.1\n")
    (folder / "legacy").write_bytes(hvm_stream(width=8))
    with suppress(ImportError):
        import duckdb  # noqa: F401 - plan asks the table with it
        import pyarrow as pa  # noqa: F401 - and scan writes it

        table = str(folder / "table")
        assert main(["scan", str(image), "-o", table, "-t", "4.17", "--jobs", "1"]) == 0
    return folder


def sample_of(folder, pair):
    """What an input holds: an image, unless it must be something else."""
    if pair.command == "convert-legacy-stream":
        return folder / "legacy"
    if pair.name == "--host":
        return Path("examples/hosts/amd.txt")
    named = {"TABLE": "table", "JSON": "document", "--policy": "image", "--emulator": "image"}
    named["--vmcoreinfo"] = "vmcoreinfo"
    option = "text" if pair.name.startswith("--") and pair.name != "--image" else "image"
    return folder / named.get(pair.name, option)


def words_of(folder, pair, output, path):
    """A call that reads `path` as the pair's input, and writes `output`."""
    call = [pair.command, *MORE.get(pair.command, [])]
    call += [pair.name, path] if pair.name.startswith("--") else [path]
    if pair.name == "--config":
        call += ["--to", "xl"]
    if pair.name.startswith("--") and pair.command != "convert-legacy-stream":
        call += [folder / ("document" if pair.command == "encode" else "image")]
    call += [pair.out, output] if pair.out.startswith("--") else [output]
    return [str(word) for word in call]


def sample_or_skip(folder, pair):
    sample = sample_of(folder, pair)
    if not sample.exists():
        pytest.skip("no table without pyarrow and duckdb")
    return sample


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("twin", ["itself", "hard", "symbolic"])
def test_an_input_stays_as_it_is(pair, twin, samples, tmp_path, capsys):
    path = tmp_path / f"input{pair.suffix}"
    sample = sample_or_skip(samples, pair)
    path.write_bytes(sample.read_bytes())
    output = path if twin == "itself" else tmp_path / f"other{pair.suffix}"
    if twin == "hard":
        output.hardlink_to(path)
    elif twin == "symbolic":
        output.symlink_to(path)
    before = sorted(tmp_path.iterdir())
    code = main(words_of(samples, pair, output, path))
    told = capsys.readouterr().err
    assert path.read_bytes() == sample.read_bytes()
    assert sorted(tmp_path.iterdir()) == before
    if pair.otherwise:
        assert code != 0
        return
    assert code == 2
    both = "is the input" if twin == "itself" else f"is the input {path}"
    message = f"{output}: {both} too: the result would be written over it\n"
    assert told == f"xensave {pair.command}: {message}"


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.otherwise], ids="-".join)
def test_it_would_be_written_elsewhere(pair, samples, tmp_path, capsys):
    """What is refused above is a call that works."""
    sample = sample_or_skip(samples, pair)
    output = tmp_path / f"output{pair.suffix}"
    main(words_of(samples, pair, output, sample))
    assert output.exists(), capsys.readouterr().err


@pytest.fixture
def folder(samples, tmp_path):
    """Two images, and a compressed one."""
    for name in ("a.img", "b.img"):
        (tmp_path / name).write_bytes((samples / "image").read_bytes())
    (tmp_path / "c.img.zst").write_bytes(Path("examples/hvm1.img.zst").read_bytes())
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", [["thin"], ["convert", "-t", "4.17"], ["edit", *MORE["edit"]]])
@pytest.mark.parametrize("words", [["."], ["*.img", "*.zst"], ["a.img", "b.img", "c.img.zst"]])
def test_a_folder_is_not_written_over_itself(command, words, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = contents(folder)
    assert main([*command, *words, "."]) == 2
    assert contents(folder) == before
    assert capsys.readouterr().err.count("is the input") == 3


@pytest.mark.parametrize("words", [["x/a.img", "y/a.img"], ["x", "y"], ["*/a.img"], ["x", "y/*"]])
def test_an_input_that_is_still_to_come_is_not_written_over(
    words, samples, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.img").write_bytes((samples / "image").read_bytes() + name.encode())
    before = contents(tmp_path / "y")
    assert main(["thin", *words, "y"]) == 2
    assert contents(tmp_path / "y") == before
    assert "y/a.img: is the input" in capsys.readouterr().err


def test_a_dump_beside_its_image_can_be_made_again(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["extract", ".", ".", "-q"]) == 0
    assert (folder / "a.img.elf").exists()
    assert main(["extract", "a.img", "b.img", ".", "-q"]) == 0


def test_what_is_read_through_compression_or_a_vhd_is_the_file(folder, samples, capsys):
    disk = folder / "disk.vhd"
    disk.write_bytes(vhd((samples / "image").read_bytes()))
    for path in (folder / "c.img.zst", disk):
        before = path.read_bytes()
        assert main(["extract", str(path), str(path)]) == 2
        assert path.read_bytes() == before
        assert main(["extract", str(path), str(folder / "out"), "-q"]) == 0


def test_descriptors_are_files_too(folder):
    """`<> X` is both; `>> X` would go on behind what is read."""
    image = folder / "a.img"
    before = image.read_bytes()
    command = f"{sys.executable} -m xensave"
    for line in (
        f"{command} thin - - <a.img 1<>a.img",
        f"{command} thin - a.img <a.img",
        f"{command} thin /dev/stdin a.img <a.img",
        f"{command} show a.img >>a.img",
        f"{command} decode a.img >>a.img",
        f"{command} convert-legacy-stream -i 3 -o 4 3<a.img 4<>a.img",
    ):
        done = subprocess.run(
            line, shell=True, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, line
        assert "is the input" in done.stderr
        assert image.read_bytes() == before


def test_the_library_refuses_what_is_open_and_only_that(folder):
    first, second = folder / "a.img", folder / "b.img"
    with xensave.open(first) as image:
        with pytest.raises(UsageError, match="is the input"):
            thin(image, str(first))
        thin(image, str(second))
    with xensave.open(second) as image:
        thin(image, str(first))
    with xensave.open(folder / "c.img.zst") as image, pytest.raises(UsageError):
        image.memory.page(0)
        thin(image, str(folder / "c.img.zst"))
