"""The command: its outputs and exit codes."""

import email
import json
import os
import subprocess
import sys
from email import policy
from pathlib import Path

import pytest

from tests.terminal import command
from xensave.cli import main
from xensave.rules.rows import ROWS as RULES

PATCHES = Path(__file__).parents[2] / "data" / "patches"
V1, V2, REPLY = (str(PATCHES / f"{name}.mbox") for name in ("v1", "v2", "reply"))
ABOVE = """#include <stdint.h>
struct hvm_foo { uint64_t a; };
#define DECLARE_HVM_SAVE_TYPE(_x, _code, _type) \\
    struct __HVM_SAVE_TYPE_##_x { _type t; char c[_code]; char cpt[1]; }
DECLARE_HVM_SAVE_TYPE(MINE, 21, struct hvm_foo);
DECLARE_HVM_SAVE_TYPE(FOO, 22, struct hvm_foo);
#define HVM_SAVE_CODE_MAX 20
"""
FILE = "xen/include/public/arch-x86/hvm/save.h"

run = command("review")


def test_text_points_at_the_lines(capsys):
    code, out, err = run(capsys, V1)
    assert (code, err) == (1, "")
    assert f"{FILE}:642: error: 35 - 40 would be headroom for Amazon" in out
    assert f"{FILE}:647: error: HVM_SAVE_CODE_MAX is raised from 20 to 40" in out
    assert "    +#define HVM_SAVE_CODE_MAX 40\n" in out
    assert "+800 bytes" in out
    assert "+20 iterations" in out
    assert out.endswith("2 errors, 1 warning, 0 notes\n")


def test_the_newer_version_passes(capsys):
    assert run(capsys, V2, "--fail-on", "warning")[0] == 0
    code, out, _ = run(capsys, V1, REPLY, V2, "--fail-on", "warning")
    assert code == 0
    assert "v2 after v1:\n  settled: 3\n" in out
    assert "  left: none\n  added: none\n" in out
    assert "carried: Reviewed-by: Wei Liu <wl@xen.org> (given on v1, in a reply)" in out


def test_fail_on_takes_warnings_or_errors(capsys, monkeypatch):
    """A comment alone, for an owner of whom nothing is known: a warning and no error."""
    data = Path(V2).read_bytes().replace(b"for Amazon", b"for Acme").replace(b"22 - 34", b"60 - 61")
    for words, expected in (([], 0), (["--fail-on", "warning"], 1)):
        feed(monkeypatch, data)
        code, out, _ = run(capsys, "-", *words)
        assert code == expected
        assert "RESERVATION_USE_UNSTATED" in out


def test_json_is_a_list_of_objections(capsys):
    for words in (["--format", "json"], ["--json"]):
        code, out, _ = run(capsys, V1, *words)
        rows = json.loads(out)
        assert code == 1
        assert [(row["rule"], row["severity"], row["file"], row["line"]) for row in rows] == [
            ("RESERVATION_EXCEEDS_USE", "error", FILE, 642),
            ("RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED", "warning", FILE, 642),
            ("MAXIMUM_RAISED_FOR_NO_RECORD", "error", FILE, 647),
        ]
        assert all(row["message"] and row["remedy"] for row in rows)
    assert json.loads(run(capsys, V2, "--json")[1]) == []


def test_sarif_names_rules_and_places(capsys):
    log = json.loads(run(capsys, V1, "--format", "sarif")[1])
    assert log["version"] == "2.1.0"
    (scan,) = log["runs"]
    rules = scan["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    for result in scan["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == FILE
        assert place["region"]["startLine"] in (642, 647)
    assert len(scan["results"]) == 3


def test_github_commands(capsys):
    code, out, _ = run(capsys, V1, "--format", "github")
    assert code == 1
    first, second, third = out.splitlines()
    assert first.startswith(f"::error file={FILE},line=642,title=RESERVATION_EXCEEDS_USE::")
    assert second.startswith(f"::warning file={FILE},line=642,")
    assert third.startswith(f"::error file={FILE},line=647,")
    assert run(capsys, V2, "--format", "github")[1].startswith("::notice::")


def test_reply_is_a_mail_that_answers(capsys):
    code, out, _ = run(capsys, V1, "--format", "reply", "--from", "Rev <rev@example.org>")
    assert code == 1
    mail = email.message_from_string(out, policy=policy.default)
    message_id = "<20191218160926.12538-1-pdurrant@amazon.com>"
    assert mail["In-Reply-To"] == message_id
    assert mail["References"] == message_id
    assert mail["Subject"].startswith("Re: [PATCH] x86/save: reserve")
    assert mail["To"] == "Paul Durrant <pdurrant@amazon.com>"
    assert "xen-devel@lists.xenproject.org" in mail["Cc"]
    assert "pdurrant" not in mail["Cc"]
    assert mail["From"] == "Rev <rev@example.org>"
    lines = mail.get_content().splitlines()
    reserved = lines.index("> +/* Range 22 - 40 reserved for Amazon */")
    raised = lines.index("> +#define HVM_SAVE_CODE_MAX 40")
    assert lines[reserved + 2].startswith("35 - 40 would be headroom")
    assert lines[raised + 2].startswith("HVM_SAVE_CODE_MAX is raised from 20 to 40")
    assert lines[reserved - 1].startswith("> ")
    assert all(len(line) <= 80 for line in lines if not line.startswith((">", "On ")))


def test_reply_needs_a_mail_and_an_objection(capsys, monkeypatch):
    code, out, err = run(capsys, V2, "--format", "reply")
    assert (code, out) == (2, "")
    assert "no objection" in err
    diff = Path(V1).read_bytes()
    feed(monkeypatch, diff[diff.index(b"diff --git") :])
    code, out, err = run(capsys, "-", "--format", "reply")
    assert (code, out) == (2, "")
    assert "Message-ID" in err


def test_reply_leaves_out_an_address_that_no_mail_can_have(capsys, monkeypatch):
    feed(monkeypatch, Path(V1).read_bytes().replace(b"jbeulich@", b"jb\xffulich@"))
    code, out, _ = run(capsys, "-", "--format", "reply")
    assert code == 1
    assert "Andrew Cooper" in out
    assert "Beulich" not in email.message_from_string(out)["Cc"]


def feed(monkeypatch, data):
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(data)
    monkeypatch.setattr(sys, "stdin", os.fdopen(read))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no patch"),
        (Path(REPLY).read_bytes(), "no patch"),
        (b"--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a\n+b\n", "touches README"),
        (b"diff --git a/x b/x\nnew file mode 100644\n", "touches x"),
        (Path(V1).read_bytes().replace(b"-639,10", b"-639,19"), "damaged"),
        (Path(V1).read_bytes().replace(b"CPU_MSR_CODE  20", b"CPU_MSR_CODE  21"), "not apply"),
        (Path(V1).read_bytes().replace(b"MAX 20", b"MAX 99"), "not apply"),
        (b"\x1b[31m\xff" * 99, "no patch"),
    ],
)
def test_what_cannot_be_reviewed_is_said_and_never_passes(capsys, monkeypatch, data, says):
    feed(monkeypatch, data)
    code, out, err = run(capsys, "-")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-file"],
        [V1, "--base", "9.9"],
        [V1, "--used", "34-22"],
        [V1, "--registry", "no-such-file"],
        [V1, "--config", "no-such-file"],
        [V1, "--tree", "no-such-dir"],
        [V1, "--staged"],
        ["--history"],
        ["--fail-on", "note", V1],
    ],
)
def test_usage(capsys, words):
    assert run(capsys, *words)[0] == 2


def test_other_files_may_pass_where_it_is_asked(capsys, monkeypatch):
    feed(monkeypatch, b"--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a\n+b\n")
    code, out, err = run(capsys, "-", "--if-touched")
    assert (code, out) == (0, "")
    assert "touches README" in err


def test_terminal_escapes_of_a_patch_are_shown_as_text(capsys, monkeypatch):
    data = Path(V1).read_bytes().replace(b"[PATCH]", b"[PATCH] \x1b[31mred")
    data = data.replace(b"MAX 40\n", b"MAX 40 /* \x1b]0;x\x07 */\n")
    feed(monkeypatch, data)
    code, out, _ = run(capsys, "-")
    assert code == 1
    assert "\x1b" not in out
    assert "\\x1b]0;x" in out


def test_rules_are_listed(capsys):
    code, out, _ = run(capsys, "--rules")
    assert code == 0
    assert all(rule.id in out for rule in RULES)
    rows = json.loads(run(capsys, "--rules", "--json")[1])
    assert {row["rule"] for row in rows} == {rule.id for rule in RULES}


def test_rules_in_the_forms_that_hold_them(capsys):
    code, out, _ = run(capsys, "--rules", "--format", "sarif")
    (report,) = json.loads(out)["runs"]
    assert (code, report["results"]) == (0, [])
    assert [rule["id"] for rule in report["tool"]["driver"]["rules"]] == [r.id for r in RULES]
    for form in ("github", "gitlab", "rdjson", "reply"):
        for words in (["--rules"], ["--rule", RULES[0].id]):
            assert run(capsys, *words, "--format", form)[:2] == (2, "")


@pytest.fixture
def bare(tmp_path):
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "xen.git"], check=True)
    return str(tmp_path / "xen.git")


def test_a_bare_repository_is_told_from_a_tree_without_headers(bare, capsys):
    assert main(["clash", "4.17", bare]) == 2
    assert f"a bare repository: name a revision of it, as {bare}@HEAD" in capsys.readouterr().err
    assert run(capsys, "--tree", bare, "--staged")[::2] == (
        2, f"xensave review: {bare}: a bare repository, so nothing is staged\n",
    )  # fmt: skip


def test_a_release_is_no_revision(bare, capsys):
    err = run(capsys, "--tree", bare, "4.17..4.21.1")[2]
    assert "no such revision: '4.17'; the tag of a release is RELEASE-4.17.0" in err


def test_what_is_staged_is_found_from_below(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "xen" / "include" / "public" / "hvm"
    folder.mkdir(parents=True)
    (folder / "save.h").write_text(ABOVE)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "-A"], check=True)
    monkeypatch.chdir(folder)
    code, out, err = run(capsys, "--staged")
    assert (code, err) == (1, "")
    assert "MAXIMUM_BELOW_RECORD" in out
    assert run(capsys, "--staged", "--tree", "..")[:2] == (code, out)
    assert run(capsys, "--staged", V1)[0] == 2


def test_a_revision_is_no_patch(tmp_path, capsys):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    made = ["commit", "-q", "--allow-empty", "-m", "empty"]
    subprocess.run(["git", "-C", tmp_path, *who, *made], check=True)
    err = run(capsys, "HEAD", "--tree", str(tmp_path))[2]
    assert err == "xensave review: HEAD: a revision; give a range, HEAD~..HEAD, or --at HEAD\n"


def test_a_directory_of_headers_against_another(capsys):
    folder = Path(__file__).parents[2] / "rules_numbers" / "rules" / "RECORD_DELETED"
    code, out, _ = run(capsys, str(folder / "previous"), str(folder / "current"))
    assert code == 0
    assert "RECORD_DELETED" in out
    code, out, _ = run(capsys, "--tree", str(folder / "previous"))
    assert code == 1
    assert "TIMER takes 3, which was PIC in earlier releases" in out


def test_help_does_not_import_the_compiler():
    code = (
        "import sys; from xensave.cli import main; main(['review', '--help']); "
        "assert not {'clang.cindex', 'unidiff', 'tomllib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_sarif_is_valid(capsys):
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema: NOT CHECKED")
    schema = json.loads((PATCHES.parent / "schemas/sarif-2.1.0.json").read_text())
    for words in ((V1,), (V2,), (V1, V2)):
        log = json.loads(run(capsys, *words, "--format", "sarif")[1])
        jsonschema.Draft4Validator(schema).validate(log)
    log["runs"][0]["results"] = [{"message": 3}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate(log)


def test_gitlab_code_quality(capsys):
    code, out, _ = run(capsys, V1, "--format", "gitlab")
    assert code == 1
    issues = json.loads(out)
    assert {issue["severity"] for issue in issues} <= {"info", "major", "critical"}
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    for issue in issues:
        assert set(issue) == {
            "description",
            "check_name",
            "fingerprint",
            "severity",
            "location",
        }
        assert issue["location"]["path"] == FILE
        assert issue["location"]["lines"]["begin"] > 0
    assert json.loads(run(capsys, V2, "--format", "gitlab")[1]) == []


def test_reviewdogs_rdjson(capsys):
    log = json.loads(run(capsys, V1, "--format", "rdjson")[1])
    assert log["source"] == {"name": "xensave"}
    severities = [diagnostic["severity"] for diagnostic in log["diagnostics"]]
    assert "ERROR" in severities
    first = log["diagnostics"][0]
    assert first["location"] == {"path": FILE, "range": {"start": {"line": 642}}}
    assert first["code"] == {"value": "RESERVATION_EXCEEDS_USE"}


def test_a_rule_is_explained(capsys):
    code, out, _ = run(capsys, "--rule", "maximum_raised_for_no_record")
    assert code == 0
    assert out.startswith("MAXIMUM_RAISED_FOR_NO_RECORD (error)\n")
    assert "example:" in out
    assert "remedy:" in out
    assert "said in: xen-devel" in out
    explained = json.loads(run(capsys, "--rule", "SPACE_NUMBER_TAKEN", "--json")[1])
    assert explained["example"] == ["+#define HVM_PARAM_FOO 9"]
    code, _, err = run(capsys, "--rule", "SPACE_NUMBER_TAKE")
    assert code == 2
    assert "did you mean SPACE_NUMBER_TAKEN?" in err


def test_examples_are_those_of_the_fixtures():
    from tests.rules_numbers.make_examples import examples
    from xensave.rules.examples import EXAMPLES

    made = {rule: row["example"] for rule, row in examples().items()}
    assert {rule: made[rule] for rule in EXAMPLES} == EXAMPLES, (
        "run python -m tests.rules_numbers.make_examples"
    )


def test_an_archives_mbox_gz(capsys, tmp_path):
    import gzip

    packed = tmp_path / "t.mbox.gz"
    packed.write_bytes(gzip.compress(Path(V1).read_bytes()))
    code, out, _ = run(capsys, str(packed))
    assert code == 1
    assert f"{FILE}:642" in out
    packed.write_bytes(packed.read_bytes()[:-20])
    code, _, err = run(capsys, str(packed))
    assert code == 2
    assert f"{packed}: offset" in err
    assert "gzip data: ends inside a frame" in err


def test_a_file_without_end(capsys):
    code, _, err = run(capsys, "/dev/zero")
    assert code == 2
    assert "/dev/zero: more than 64 MiB" in err


def test_no_maximum_is_raised_to_another_owners_number(tmp_path, capsys):
    """The record moves to a free number: the maximum that it needs is not told before."""
    folder = tmp_path / "xen" / "include" / "public" / "hvm"
    folder.mkdir(parents=True)
    (folder / "save.h").write_text(ABOVE)
    out = run(capsys, "--tree", str(tmp_path), "--base", "4.21")[1]
    assert "Give FOO a free number first" in out
    assert "Raise HVM_SAVE_CODE_MAX to 21." in out
    assert "MAX to 22" not in out
