"""Tables of a fleet that are none, or are damaged: one error, and nothing that a terminal obeys."""

import base64
import io
import re

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from xensave.errors import SourceError
from xensave.fleet.parts import SETTINGS_KEY, done, merge
from xensave.fleet.plan import plan
from xensave.fleet.query import FleetTable, QueryResult, ask, ask_ready
from xensave.fleet.schema import schema
from xensave.views.fleet import Form, answer_lines

SETTINGS = "{}"
FORM = schema(SETTINGS)
KEY = {"size": 1, "mtime": 2.0, "etag": None}


def row(**values):
    return dict.fromkeys(FORM.names) | KEY | {"address": "a.img"} | values


def written(path, table):
    pq.write_table(table.replace_schema_metadata({SETTINGS_KEY: SETTINGS}), path)
    return str(path)


def whole(rows):
    return pa.Table.from_pylist(rows, FORM)


@pytest.mark.parametrize("bits", [4, 128])
def test_integers_of_a_width_that_no_reader_has(bits, tmp_path):
    out = io.BytesIO()
    pq.write_table(pa.table({"address": pa.array([1], pa.int64())}), out, compression="none")
    data = out.getvalue()
    assert pq.read_table(io.BytesIO(data)).num_rows == 1
    form = re.search(rb"[A-Za-z0-9+/]{100,}={0,2}", data)[0]
    plain = base64.b64decode(form)
    assert plain.count(b"\x40\0\0\0") == 1
    other = base64.b64encode(plain.replace(b"\x40\0\0\0", bytes((bits, 0, 0, 0))))
    path = tmp_path / "fleet.parquet"
    path.write_bytes(data.replace(form, other))
    with pytest.raises(SourceError, match="is no table of a fleet"):
        ask(str(path), "select * from fleet")


@pytest.mark.parametrize("missing", ["etag", "address", "features"])
def test_a_table_without_a_column(missing, tmp_path):
    path = written(tmp_path / "fleet.parquet", whole([row()]).drop_columns([missing]))
    with pytest.raises(SourceError, match="without this file a scan looks at its images again"):
        merge(path, SETTINGS, done(path, SETTINGS))


def test_addresses_that_are_no_text(tmp_path):
    table = whole([row()])
    at = table.schema.get_field_index("address")
    path = written(tmp_path / "fleet.parquet", table.set_column(at, "address", pa.array([[1]])))
    with pytest.raises(SourceError, match="without this file"):
        done(path, SETTINGS)


def test_parts_that_do_not_fit_each_other(tmp_path):
    path = written(tmp_path / "fleet.parquet", whole([row(scanned=1.0)]))
    folder = tmp_path / "fleet.parquet.parts"
    folder.mkdir()
    written(folder / "00000001.parquet", whole([row(scanned=None)]))
    with pytest.raises(SourceError, match="is no table of a fleet"):
        ask(path, "select * from fleet")


@pytest.mark.parametrize("form", Form)
def test_names_of_columns_are_escaped(form):
    lines = "\n".join(answer_lines(QueryResult(("a\x1b[2J", "b\u202e"), [(1, "x")]), form, 80))
    assert lines.replace("\n", "").isprintable()
    assert "[2J" in lines


def test_a_name_that_is_no_utf8(tmp_path):
    verdicts = [{"target": "4.17", "accepted": True, "convertible": None}]
    out = io.BytesIO()
    table = pa.Table.from_pylist([{"verdicts": verdicts}])
    pq.write_table(table, out, compression="none", store_schema=False)
    path = tmp_path / "fleet.parquet"
    path.write_bytes(out.getvalue())
    assert ask(str(path), "select * from fleet").rows == [(verdicts,)]
    path.write_bytes(out.getvalue().replace(b"convertible", b"\xff\xff\xff\xffertible"))
    with pytest.raises(SourceError, match=r"holds a text that is no UTF-8"):
        ask(str(path), "select * from fleet")


LONG = "x" * 20_000


def verdict(**values):
    return {"target": "4.17", "accepted": False, "convertible": False, "why": "w"} | values


SHARED = {
    "text": [row(address=str(number), error=LONG) for number in range(500)],
    "list": [row(address=str(number), features=[LONG] * 5) for number in range(100)],
    "elements": [row(features=[LONG] * 500)],
    "struct": [row(address=str(n), verdicts=[verdict(why=LONG)] * 5) for n in range(100)],
    "nulls": [row(features=[None] * 100_000)],
}


@pytest.mark.parametrize("rows", SHARED.values(), ids=list(SHARED))
def test_a_text_that_many_values_share(rows, tmp_path, monkeypatch):
    path = str(tmp_path / "fleet.parquet")
    pq.write_table(whole(rows), path, compression="zstd")
    assert tmp_path.joinpath("fleet.parquet").stat().st_size < 100_000
    assert len(ask(path, "select * from fleet").rows) == len(rows)
    monkeypatch.setattr("xensave.fleet.size.EXPANSION_FLOOR", 1 << 20)
    monkeypatch.setattr("xensave.fleet.size.UNFOLDED_RATIO", 1)
    monkeypatch.setattr("pyarrow.parquet.read_table", None)
    with pytest.raises(SourceError, match="unfolds beyond 1,048,576 bytes"):
        ask(path, "select count(*) from fleet")
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", None)
    with pytest.raises(SourceError, match=r"unfolds beyond .* a scan looks at its images again"):
        merge(path, SETTINGS, {})


def varint(number):
    return bytes((number >> shift & 0x7F) | 0x80 for shift in (0, 7, 14, 21)) + bytes(
        [number >> 28]
    )


def test_a_footer_that_lies(tmp_path, monkeypatch):
    path = tmp_path / "fleet.parquet"
    table = pa.table({"address": ["x" * (300 << 20)]})
    pq.write_table(table, path, compression="zstd", write_statistics=False, use_dictionary=False)
    footer = pq.read_metadata(path).row_group(0)
    data = path.read_bytes()
    true = varint(2 * footer.total_byte_size)
    assert data.count(true) == 2
    path.write_bytes(data.replace(true, varint(2000)))
    assert pq.read_metadata(path).row_group(0).total_byte_size == 1000
    monkeypatch.setattr("pyarrow.parquet.read_table", None)
    with pytest.raises(SourceError, match=r"unfolds beyond|more memory"):
        ask(str(path), "select count(*) from fleet")


def test_an_answer_with_a_long_text_in_many_rows(tmp_path):
    path = str(tmp_path / "fleet.parquet")
    rows = [row(address="x" * 300_000, verdicts=[verdict()] * 1000)]
    pq.write_table(whole(rows), path, compression="zstd")
    assert ask(path, "select count(*), sum(length(address)) from fleet").rows == [(1, 300_000)]
    with pytest.raises(SourceError, match="the answer is longer than"):
        ask_ready(path, "refused-on", "4.17")


def test_images_of_one_address_are_not_multiplied(tmp_path, monkeypatch):
    answers = []

    def counting(table, *words):
        answers.append(asked(table, *words))
        return answers[-1]

    asked = FleetTable.ask
    monkeypatch.setattr(FleetTable, "ask", counting)
    path = written(tmp_path / "fleet.parquet", whole([row(verdicts=[verdict()])] * 40 + [row()]))
    assert len(plan(path, "4.17")) == 1
    assert len(answers[-1].rows) == 41
