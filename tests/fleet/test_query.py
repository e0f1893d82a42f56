"""Questions to a table, and what SQL may not do."""

import json
import subprocess

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from xensave.cli import main
from xensave.errors import SourceError, UsageError
from xensave.fleet.pool import ProcessPool
from xensave.fleet.query import ask, question
from xensave.fleet.scan import Question, scan
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
    assert not ask(table, question("needs-feature").sql, ("nosuch",)).rows
    by_reason = ask(table, question("by-reason").sql)
    assert by_reason.columns[:4] == ("target", "rule", "errno", "images")


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
    ],
)
def test_sql_reads_the_table_and_nothing_else(table, sql):
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
