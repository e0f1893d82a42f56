"""An empty file, a wrong one and one that is not there: every command says the same of each."""

from pathlib import Path

import pytest

from xensave.cli import main

CALLS = {
    "show": ["IN"],
    "verify": ["IN"],
    "check": ["IN", "-t", "4.17"],
    "diff": ["IN", "examples/hvm1.ctx"],
    "diff-new": ["examples/hvm1.ctx", "IN"],
    "policy": ["show", "IN"],
    "memory": ["IN"],
    "report": ["IN", "-o", "OUT"],
    "extract": ["IN", "OUT"],
    "gdbserver": ["IN", "--stdio"],
    "drgn": ["IN"],
    "convert": ["IN", "OUT", "-t", "4.17"],
    "thin": ["IN", "OUT"],
    "edit": ["IN", "OUT", "--set", "CPU[0].rip=1", "-t", "4.17"],
    "decode": ["IN"],
    "encode": ["IN", "OUT"],
    "convert-legacy-stream": ["-i", "IN", "-o", "OUT"],
}

ANSWERS = {"check"}
"""Commands whose exit code 1 is a hypervisor's answer: for them a wrong file is trouble."""


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_image(name, tmp_path, capsys):
    path, out = tmp_path / "it", tmp_path / "out"
    command = name.removesuffix("-new")
    call = [{"IN": str(path), "OUT": str(out)}.get(word, word) for word in CALLS[name]]
    assert main([command, *call]) == 2
    assert capsys.readouterr().err == f"xensave {command}: {path}: No such file or directory\n"
    for data in (b"", b"root:x:0:0:root\n" * 99):
        path.write_bytes(data)
        assert main([command, *call]) == (2 if command in ANSWERS else 1), data
        printed = "".join(capsys.readouterr())
        assert f"{path}: " in printed
        assert "examples/hvm1.ctx" not in printed
    # A page says what is wrong with a file.
    assert out.exists() == (command == "report")


def test_diff_names_neither_where_both_lack_a_record(capsys):
    assert main(["diff", "examples/hvm1.ctx", "examples/pvh1.ctx", "--records", "CPUX"]) == 2
    assert capsys.readouterr().err == (
        "xensave diff: neither holds a record CPUX: nothing to compare\n"
    )


@pytest.mark.parametrize("words", [["IN", "WHOLE"], ["WHOLE", "IN"]])
def test_diff_names_the_one_that_is_cut(words, tmp_path, capsys):
    path, whole = tmp_path / "cut", "examples/hvm1.ctx"
    path.write_bytes(Path(whole).read_bytes()[:3000])
    names = {"IN": str(path), "WHOLE": whole}
    assert main(["diff", *(names[word] for word in words)]) == 1
    assert capsys.readouterr().err.startswith(f"xensave diff: {path}: offset 0xaa8: ")
