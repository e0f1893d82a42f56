"""The rules over a repository's history, and where they point."""

import json

from xensave.cli import main
from xensave.headers.text.places import field_lines
from xensave.review.session import Request, review, review_history


def test_every_commit_that_touched_the_headers(repository, base):
    grown = base["header"].replace("uint32_t mode;", "uint32_t mode;\n    uint32_t odd;")
    repository.commit("Something else", README="x\n")
    repository.commit("Grow", header=grown)
    repository.commit("Break", header=grown.replace("uint32_t odd", "no_such_type odd"))
    repository.commit("Mend", header=base["header"])
    entries = list(review_history(Request(tree=str(repository.path)), "main"))
    assert [entry.subject for entry in entries] == ["Start", "Grow", "Break", "Mend"]
    start, grow, broken, mend = entries
    assert start.whole
    assert {o.finding.rule for o in grow.review.objections} == {
        "RECORD_SIZE_CHANGED_UNLESS_COMPAT",
        "STRUCT_DIFFERS_BETWEEN_ABIS",
    }
    assert broken.review is None
    assert "save.h:13: unknown type name 'no_such_type'" in broken.unread
    assert mend.whole
    assert "no_such_type" in mend.unread


def test_history_as_text_and_json(repository, base, capsys):
    repository.commit("Raise", header=base["header"].replace("CODE_MAX 3", "CODE_MAX 9"))
    assert main(["review", "--tree", str(repository.path), "--history"]) == 0
    text = capsys.readouterr().out
    assert "save.h:22: error: HVM_SAVE_CODE_MAX is raised from 3 to 9" in text
    assert text.splitlines()[-1].startswith("2 commits, 0 of them cannot be read; ")
    assert main(["review", "--tree", str(repository.path), "--history", "all", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["subject"] for row in rows] == ["Start", "Raise"]
    assert rows[1]["objections"][0]["rule"] == "MAXIMUM_RAISED_FOR_NO_RECORD"


def test_a_repository_without_headers(repository, tmp_path, capsys):
    other = type(repository)(tmp_path / "other")
    other.commit("Start", README="x\n")
    assert main(["review", "--tree", str(other.path), "--history"]) == 2
    assert "no commit" in capsys.readouterr().err
    assert main(["review", "--tree", str(other.path)]) == 2


def test_ranges(repository, base, capsys):
    repository.git("checkout", "-q", "-b", "topic")
    repository.commit("Raise", header=base["header"].replace("CODE_MAX 3", "CODE_MAX 9"))
    repository.git("checkout", "-q", "main")
    repository.commit("Else", README="x\n")
    tree = ["review", "--tree", str(repository.path)]
    assert main([*tree, "main...topic"]) == 1
    assert main([*tree, "topic..main"]) == 0
    assert main([*tree, "main~..main"]) == 2
    assert main([*tree, "main..nowhere"]) == 2
    assert main([*tree, "--at", "topic"]) == 1
    capsys.readouterr()


def test_field_lines_of_nested_structs_and_bit_fields():
    text = """\
/* struct a { int no; }; */
struct a {
    uint32_t one; /* } */
    struct {
#define N 3
        uint8_t low:4,
                high:4;
        union { uint16_t w; uint8_t b[2]; };
    } pair[N];
    uint64_t last[N][2];
};
"""
    places = field_lines(text, "x.h", "a")
    assert {path: place.line for path, place in places.items()} == {
        "": 2, "one": 3, "pair": 9, "pair.low": 6, "pair.high": 7, "pair.w": 8, "pair.b": 8,
        "last": 10,
    }  # fmt: skip
    assert field_lines(text, "x.h", "no") == {}


def test_a_merge_counts_where_it_has_the_headers_of_neither_parent(repository, base):
    def merged(header):
        repository.git("merge", "-q", "--no-ff", "--no-commit", "topic")
        repository.write("xen/include/public/hvm/save.h", header)
        repository.git("commit", "-q", "-m", "Merge topic")

    repository.git("checkout", "-q", "-b", "topic")
    repository.commit("Raise", header=base["header"].replace("CODE_MAX 3", "CODE_MAX 9"))
    repository.git("checkout", "-q", "main")
    repository.commit("Else", README="x\n")
    merged(base["header"].replace("CODE_MAX 3", "CODE_MAX 9"))
    subjects = [e.subject for e in review_history(Request(tree=str(repository.path)), "main")]
    assert "Merge topic" not in subjects
    repository.git("reset", "-q", "--hard", "HEAD~")
    merged(base["header"].replace("CODE_MAX 3", "CODE_MAX 12"))
    entries = {e.subject: e for e in review_history(Request(tree=str(repository.path)), "main")}
    (objection,) = entries["Merge topic"].review.objections
    assert "from 3 to 12" in objection.finding.message


def test_a_merge_as_git_shows_it_is_put_onto_each_parent(repository, base):
    repository.git("checkout", "-q", "-b", "topic")
    repository.commit("Raise", header=base["header"].replace("CODE_MAX 3", "CODE_MAX 9"))
    repository.git("checkout", "-q", "main")
    repository.commit("Else", README="x\n")
    repository.git("merge", "-q", "--no-ff", "--no-commit", "topic")
    header = base["header"].replace("CODE_MAX 3", "CODE_MAX 12")
    repository.write("xen/include/public/hvm/save.h", header)
    repository.git("commit", "-q", "-m", "Merge topic")
    shown = repository.git("show", "-m", "HEAD").encode()
    result = review(Request(inputs=("p",), tree=str(repository.path)), lambda _: shown)
    told = [o.finding.message for each in result.reviews for o in each.objections]
    assert ["from 3 to 12" in told[0], "from 9 to 12" in told[1]] == [True, True]


def test_headers_that_do_not_compile_are_trouble_in_every_mode(repository, base, capsys):
    broken = base["header"].replace("uint32_t mode;", "nowhere_t mode;")
    commit = repository.commit("Break", header=broken)
    patch = repository.path.parent / "p.patch"
    patch.write_text(repository.git("format-patch", "--stdout", "-1"))
    tree = ["review", "--tree", str(repository.path)]
    for words in (
        [*tree, "--history"], [*tree, "HEAD~..HEAD"], tree, [*tree, "--at", commit],
        [*tree, "--at", "HEAD~", str(patch)],
        ["review", str(repository.path), str(repository.path)],
    ):  # fmt: skip
        assert main(words) == 2
        capsys.readouterr()


def test_the_files_as_they_stand_are_looked_at(repository, base, capsys):
    (repository.path / "xen/include/public/hvm/save.h").write_text(
        base["header"].replace("CODE_MAX 3", "CODE_MAX 9")
    )
    tree = ["review", "--tree", str(repository.path)]
    assert main(tree) == 1
    assert "HVM_SAVE_CODE_MAX is 9" in capsys.readouterr().out
    main([*tree, "--at", "HEAD"])
    assert "HVM_SAVE_CODE_MAX is 9" not in capsys.readouterr().out
