"""Questions to a table, and what SQL may not do."""

import csv
import io
import json
import shutil
import subprocess

import pytest

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from xensave.cli import main
from xensave.errors import SourceError, UsageError
from xensave.fleet.parts import PartsWriter, locked, write_table
from xensave.fleet.plan import UpgradeStep, plan
from xensave.fleet.pool import ProcessPool
from xensave.fleet.query import QueryResult, ask, ask_ready, question
from xensave.fleet.row import rows_of
from xensave.fleet.scan import Question, scan
from xensave.fleet.schema import schema as schema_of
from xensave.source.remote.addresses import StoreObject
from xensave.views.fleet import Form, answer_lines
from xensave.views.schemas import schema


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("query") / "fleet.parquet")
    asked = Question(("4.17.7", "4.13.5"))
    scan(["examples"], path, asked, ProcessPool(asked, 1))
    return path


def test_ready_questions(table):
    refused = ask(table, question("refused-on").sql, ("4.13.5",))
    assert [row[0] for row in refused.rows] == ["examples/hvm1.ctx", "examples/hvm1.img.zst"]
    assert ask(table, question("needs-feature").sql, ("PKU",)).rows
    assert ask_ready(table, "refused-on", "4.13.5") == refused
    assert ask_ready(table, "by-reason").rows
    assert not ask_ready(table, "needs-feature", "AVX512F").rows
    by_reason = ask(table, question("by-reason").sql)
    assert by_reason.columns[:4] == ("target", "rule", "errno", "images")


@pytest.mark.parametrize(
    ("flag", "argument", "words"),
    [
        ("--refused-on", "4.13", "not scanned for 4.13, but for 4.13.5, 4.17.7"),
        ("--refused-on", "4.99", "not scanned for 4.99"),
        ("--needs-feature", "nosuch", "no CPU feature"),
    ],
)
def test_what_the_table_cannot_know_is_no_empty_answer(table, flag, argument, words, capsys):
    assert main(["query", table, flag, argument]) == 2
    out, err = capsys.readouterr()
    assert (out, words in " ".join(err.split())) == ("", True)


def test_a_plan_names_rows_of_an_earlier_scan_for_other_targets(table, tmp_path):
    path = tmp_path / "fleet.parquet"
    shutil.copy(table, path)
    asked = Question(("4.20.0",))
    settings = asked.settings()
    with locked(str(path)):
        writer = PartsWriter(str(path), settings)
        writer.add(rows_of([StoreObject("examples/pvh1.ctx", 5232)], asked))
        writer.flush()
        steps = {each.address: each.step for each in plan(str(path), "4.20.0")}
    assert len(steps) == ask(table, "SELECT count(*) FROM fleet").rows[0][0]
    assert steps.pop("examples/pvh1.ctx") is UpgradeStep.RESTORE
    assert set(steps.values()) == {UpgradeStep.LOOK}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY fleet TO '/tmp/stolen.csv'",
        "INSTALL httpfs",
        "ATTACH '/tmp/other.db'",
        "SET enable_external_access = true",
        "SELECT nothing FROM",
        "SELECT getenv('HOME')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_parquet('/tmp/other.parquet')",
        "SELECT * FROM parquet_schema('/tmp/other.parquet')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM query('FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM query_table('/etc/passwd')",
        "FROM read_csv('https://127.0.0.1/a.csv')",
        "COPY fleet FROM '/etc/passwd'",
        "SELECT 1; COPY fleet TO '/tmp/stolen.csv'",
        "EXPORT DATABASE '/tmp/stolen'",
        "IMPORT DATABASE '/tmp/stolen'",
        "LOAD httpfs",
        "FORCE INSTALL json FROM '/tmp'",
        "UPDATE EXTENSIONS",
        "RESET enable_external_access",
        "SET GLOBAL lock_configuration = false",
        "SET temp_directory = '/tmp'",
        "SET python_enable_replacements = true",
        "PRAGMA enable_profiling = 'json'",
        "SET profiling_output = '/tmp/stolen.json'",
        "SET allowed_paths = ['/etc/passwd']",
        "CALL enable_logging(storage = 'file', storage_path = '/tmp/stolen')",
        "CREATE SECRET stolen (TYPE s3)",
        "SELECT * FROM VICTIM",
    ],
)
def test_sql_reads_the_table_and_nothing_else(table, sql):
    # DuckDB would find tables of the calling program by their names.
    VICTIM = pyarrow.table({"secret": [1]})  # noqa: N806, F841
    with pytest.raises(UsageError):
        ask(table, sql)


def test_unsafe_lifts_that(table):
    assert ask(
        table, "SELECT count(*) FROM read_csv('/etc/passwd', sep=':', header=false)", unsafe=True
    )


def test_forms(table, capsys):
    sql = "SELECT type, count(*) AS images FROM fleet WHERE error IS NULL GROUP BY 1 ORDER BY 1"
    assert main(["query", table, sql]) == 0
    assert capsys.readouterr().out == "type  images\nhvm        2\npvh        1\n2 rows\n"
    assert main(["query", table, sql, "--format", "csv"]) == 0
    assert capsys.readouterr().out == "type,images\nhvm,2\npvh,1\n"
    assert main(["query", table, sql, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"type": "hvm", "images": 2}


def test_json_keeps_to_the_schemas(table, capsys, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    again = str(tmp_path / "again.parquet")
    for words in (
        ["scan", "examples/pvh1.ctx", "-t", "4.17.7", "-o", again, "--jobs", "1"],
        ["query", table, "SELECT * FROM fleet"],
        ["query", table, "SELECT nothing"],
        ["plan", table, "-t", "4.13.5"],
        ["plan", table, "-t", "4.99"],
    ):
        main([*words, "--json"])
        jsonschema.validate(json.loads(capsys.readouterr().out), schema(words[0]))


def test_what_is_no_table(tmp_path):
    (tmp_path / "text").write_text("no table")
    for name in ("text", "nothing"):
        with pytest.raises(SourceError):
            ask(str(tmp_path / name), "SELECT 1")


def test_a_plan_and_its_script(table, capsys, tmp_path):
    assert main(["plan", table, "-t", "4.13.5", "--json"]) == 1
    steps = {
        each["address"]: each["step"] for each in json.loads(capsys.readouterr().out)["images"]
    }
    assert steps["examples/hvm1.img.zst"] == "convert"
    assert steps["examples/README.md"] == "look"
    script = tmp_path / "upgrade.sh"
    assert main(["plan", table, "-t", "4.13.5", "--script", str(script)]) == 1
    capsys.readouterr()
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert "xensave convert --target 4.13.5" in script.read_text()
    assert main(["plan", table, "-t", "4.99"]) == 2


EVIL = "x'; touch PWNED; echo '\n touch PWNED\n$(touch PWNED)`touch PWNED`\x1b[31m\r\u2028\\"
NAMES = (
    "plain.img", "a'b.img", "a\ntouch PWNED\n.img", "$(touch PWNED).img", "`touch PWNED`.img",
    "-o PWNED", "--compress=xz", "-", "a;touch PWNED", 'tab\t"q".img', "\x1b[31mred\x07.img",
    "back\\slash\\n.img", "100%s.img", "uni\u00e9.img", "*", "#x", "~", "a>PWNED", " lead",
    "trail ", "\r\nPWNED.img", "u\u2028line\u202e.img", "domain:0", "newline at the end\n",
)  # fmt: skip


def evil_table(path):
    """A table of images that are refused and converted, with names that are out to be run."""
    import pyarrow.parquet as pq

    from xensave.fleet.parts import table_of
    from xensave.fleet.row import error_row
    from xensave.fleet.schema import schema as form
    from xensave.source.remote.addresses import StoreObject

    verdict = {"target": "4.13.5", "accepted": False, "record": EVIL, "why": EVIL,
               "convertible": True, "depends": [], "losses": [EVIL]}  # fmt: skip
    refused = {"guest": EVIL, "error": None, "verdicts": [verdict]}
    lost = verdict | {"convertible": False}
    rows = [error_row(StoreObject(name, 1), "") | refused for name in NAMES]
    rows.append(error_row(StoreObject(f"d/{EVIL}", 1), EVIL))
    rows.append(error_row(StoreObject(f"e/{EVIL}", 1), "") | refused | {"verdicts": [lost]})
    pq.write_table(table_of(rows, form()), path)


def test_a_script_runs_no_name(tmp_path, monkeypatch, capsys):
    """A shell hands each name to `xensave convert` whole, and to nothing else."""
    table = str(tmp_path / "evil.parquet")
    evil_table(table)
    script, folder = tmp_path / "upgrade.sh", "-out 'of\x1b'"
    words = ["plan", table, "-t", "4.13.5", "--script", str(script), f"--folder={folder}"]
    assert main(words) == 1
    assert main([*words[:4], "--script", "-", words[-1]]) == 1
    printed = capsys.readouterr().out
    assert not [char for char in printed if not (char.isprintable() or char == "\n")]
    stub = tmp_path / "bin/xensave"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done >> "$CALLS"\n')
    stub.chmod(0o755)
    run, calls = tmp_path / "run", tmp_path / "calls"
    run.mkdir()
    monkeypatch.setenv("PATH", f"{stub.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(calls))
    for shell in ("sh", "bash"):
        calls.write_bytes(b"")
        subprocess.run([shell, str(script)], cwd=run, check=True)
        found = [word.decode() for word in calls.read_bytes().split(b"\0")[:-1]]
        size = 7
        assert all(
            found[at : at + 2] == ["convert", "--target"] for at in range(0, len(found), size)
        )
        inputs = sorted(found[at + 5] for at in range(0, len(found), size))
        safe = [
            f"./{name}" if name[0] == "-" or name == "domain:0" else name for name in NAMES[:-1]
        ]
        assert inputs == sorted(safe)
        outputs = sorted(found[at + 6] for at in range(0, len(found), size))
        assert outputs == sorted(f"./{folder}/{name}" for name in NAMES[:-1])
        assert [each.name for each in run.iterdir()] == [folder]


def test_nothing_of_a_table_moves_a_terminal(tmp_path, capsys):
    table = str(tmp_path / "evil.parquet")
    evil_table(table)
    for words in (
        ["plan", table, "-t", "4.13.5"],
        ["plan", table, "-t", "4.13.5", "--json"],
        ["query", table, "SELECT address, guest, verdicts FROM fleet"],
        ["query", table, "SELECT address, guest, verdicts FROM fleet", "--format", "csv"],
        ["query", table, "SELECT address, guest, verdicts FROM fleet", "--json"],
        ["query", table, "SELECT nothing, '\x1b'"],
    ):
        main(words)
        done = capsys.readouterr()
        assert not [c for c in done.out + done.err if not (c.isprintable() or c == "\n")], words


def test_files_called_as_options_or_guests_are_files(tmp_path, monkeypatch):
    for name in ("-o", "domain:0", "-"):
        shutil.copy("examples/pvh1.ctx", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    asked = Question(("4.17.7",))
    result = scan(["*"], "fleet.parquet", asked, ProcessPool(asked, 1))
    assert (result.rows, result.errors) == (3, 0)


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"]
)
def test_no_guest_is_named_by_a_formula(name):
    # A name as a value, and as the name of a column.
    answer = QueryResult((name, "number"), [(name, -1)])
    lines = "\n".join(answer_lines(answer, Form.CSV, 80))
    for text, _ in csv.reader(io.StringIO(lines)):
        assert text.startswith("'")
    assert list(csv.reader(io.StringIO(lines)))[1][1] == "-1"
    assert json.loads("".join(answer_lines(answer, Form.JSON, 80))) == [{name: name, "number": -1}]


def test_a_table_of_more_rows_than_bytes_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "bomb.parquet")
    form = schema_of("settings")
    rows = 100_000
    nothing = [pyarrow.nulls(rows, field.type) for field in form]
    write_table(path, form, [pyarrow.Table.from_arrays(nothing, schema=form)])
    monkeypatch.setattr("pyarrow.parquet.read_table", None)  # refused before it is unfolded
    with pytest.raises(SourceError, match="more rows than bytes"):
        ask(path, "SELECT count(*) FROM fleet")


def test_a_table_that_unfolds_too_far_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "bomb.parquet")
    form = schema_of("settings")
    columns = [
        pyarrow.array(["a" * (10 << 20)]) if field.name == "guest" else pyarrow.nulls(1, field.type)
        for field in form
    ]
    write_table(path, form, [pyarrow.Table.from_arrays(columns, schema=form)])
    monkeypatch.setattr("xensave.fleet.size.EXPANSION_FLOOR", 1 << 20)
    monkeypatch.setattr("pyarrow.parquet.read_table", None)
    with pytest.raises(SourceError, match="unfolds beyond"):
        ask(path, "SELECT count(*) FROM fleet")
