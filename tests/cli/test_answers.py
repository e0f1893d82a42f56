"""What a first user met, and does not meet again: answers that say what they are about."""

import json
import os
import re
import stat
from pathlib import Path

import pytest

from tests.terminal import on_terminal
from xensave.cli import main
from xensave.context import Context
from xensave.source.output import AtomicFile
from xensave.testing.streams import with_vcpus

HVM = "examples/hvm1.ctx"
IMAGE = "examples/hvm1.img.zst"


def on_a_terminal(words, columns):
    """Run a command with a terminal of so many columns as output and error."""
    text, _ = on_terminal(words, COLUMNS=str(columns), NO_COLOR="1", TERM="xterm")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode()).replace("\r", "")
    # A busy machine may show the progress, which is taken off again.
    return [line for line in plain.splitlines() if "\u2501" not in line]


@pytest.mark.parametrize(
    "words",
    [
        ["check", IMAGE, "-t", "4.13", "-t", "4.21"],
        ["verify", IMAGE],
        ["verify", "--rules"],
        ["convert", IMAGE, "-t", "4.13", "--dry-run"],
        ["records"],
    ],
    ids=" ".join,
)
def test_no_word_is_broken_at_eighty_columns(words):
    lines = on_a_terminal(words, 80)
    assert lines
    for line in lines:
        assert len(line) <= 80 or len(line.split()) <= 2, line


def test_in_a_pipe_a_finding_stays_one_line(capsys):
    main(["check", IMAGE, "-t", "4.21"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{IMAGE}: Xen 4.21: restores (")
    assert first.endswith(")")


def test_the_rules_of_verify_as_json(capsys):
    assert main(["verify", "--rules", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"rule", "severity", "purpose"} == set(rows[0])
    assert any(row["rule"] == "STREAM_COMPLETE" for row in rows)


def test_a_context_is_not_said_to_have_no_records(capsys):
    assert main(["verify", HVM]) == 0
    assert "0 records" not in capsys.readouterr().out


def test_clash_fails_on_what_it_is_told_to(capsys):
    words = ["clash", "4.17", "4.21"]
    assert main(words) == 1
    severities = {line.partition(":")[0] for line in capsys.readouterr().out.splitlines()}
    assert main([*words, "--fail-on", "error"]) == int("error" in severities)
    assert main(["clash", "4.17", "4.17", "--fail-on", "note"]) == 0


def test_every_record_of_a_context_is_a_line_of_json(capsys):
    assert main(["show", HVM, "--all", "--json"]) == 0
    text = capsys.readouterr().out
    contents = json.loads(text)["contents"]
    context = Context.parse(Path(HVM).read_bytes())
    assert [(one["name"], one["instance"]) for one in contents] == [
        (record.name, record.instance) for record in context
    ]
    assert sum(line.startswith('    {"layer"') for line in text.splitlines()) == len(context)


def test_a_catalogue_that_cannot_be_written_is_told_at_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "deep")
    assert main(["catalogue", "build", "--xen-git", "/nowhere", "--out", out]) == 2
    assert capsys.readouterr().err == f"xensave catalogue: {out}: Not a directory\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_is_replaced_keeps_its_owner_and_mode(tmp_path):
    path = tmp_path / "guest.img"
    path.write_bytes(b"old")
    path.chmod(0o640)
    os.chown(path, 65534, 65534)
    with AtomicFile(str(path)) as fd:
        os.write(fd, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o640)
    assert path.read_bytes() == b"new"


def test_one_reason_of_many_releases_is_one_footnote(capsys):
    main(["check", IMAGE, "--matrix"])
    notes = re.findall(r"^\d+ refused: (.*)", capsys.readouterr().out, re.MULTILINE)
    streams = [note for note in notes if note.startswith("libxc header")]
    assert streams == ["libxc header: the stream has version 3; that release reads 2"]
    assert len(notes) == len(set(notes))


def test_a_fix_up_of_many_vcpus_is_told_once(tmp_path, capsys):
    path = tmp_path / "eight.ctx"
    path.write_bytes(with_vcpus(Path("examples/pvh1.ctx").read_bytes(), 8))
    main(["check", str(path), "-t", "4.21.2", "--type", "pvh"])
    line = capsys.readouterr().out.splitlines()[0]
    assert line.count("LAPIC from 24 to 32 bytes") == 1
    assert "(8 times)" in line
