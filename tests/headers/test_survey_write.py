"""What a build of the catalogue leaves as it is, so that a diff shows what is new."""

import json

from xensave.headers.survey.write import write_files


def made_of(commit, **values):
    return {"schema": 1, "producer": {"source": commit}, **values}


def test_a_file_that_would_say_the_same_stays(tmp_path):
    first = {name: made_of("Xen 1", number=1) for name in ("index.json", "spaces/a.json", "b.json")}
    assert write_files(first, tmp_path) == 3
    second = {name: made_of("Xen 2", number=1) for name in first}
    second["b.json"] = made_of("Xen 2", number=2)
    assert write_files(second, tmp_path) == 2
    sources = {
        name: json.loads((tmp_path / name).read_text())["producer"]["source"] for name in first
    }
    assert sources == {"index.json": "Xen 2", "spaces/a.json": "Xen 1", "b.json": "Xen 2"}


def test_a_file_that_is_damaged_is_written_again(tmp_path):
    for damaged in ("", "[]", "{"):
        (tmp_path / "a.json").write_text(damaged)
        assert write_files({"a.json": made_of("Xen 1")}, tmp_path) == 1
        assert json.loads((tmp_path / "a.json").read_text()) == made_of("Xen 1")
