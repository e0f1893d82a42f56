"""Tables of a fleet that are none, or are damaged: one error, and nothing that a terminal obeys."""

import base64
import io
import re

import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from xensave.errors import SourceError
from xensave.fleet.parts import SETTINGS_KEY, done, merge
from xensave.fleet.query import QueryResult, ask
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
