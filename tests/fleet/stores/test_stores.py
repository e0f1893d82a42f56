"""A scan of a store: requests and bytes, trouble, and objects that change under it."""

import pytest

pq = pytest.importorskip("pyarrow.parquet")

from xensave.fleet.pool import ProcessPool
from xensave.fleet.scan import Question, scan

QUESTION = Question(("4.17.7",))
ADDRESS = "s3://images/**/*.img"


def run(table, jobs=1):
    return scan([ADDRESS], str(table), QUESTION, ProcessPool(QUESTION, jobs))


def verdicts(table):
    return {
        row["address"]: [(each["target"], each["accepted"]) for each in row["verdicts"] or ()]
        for row in pq.read_table(str(table)).to_pylist()
    }


@pytest.fixture
def bucket(store, sample):
    for number in range(5):
        store.put(f"guests/{number}/guest.img", sample)
    store.put("guests/list.txt", b"no image")
    return store


def test_few_requests_and_bytes_an_image(bucket, tmp_path):
    bucket.trouble.requests.clear()
    result = run(tmp_path / "fleet.parquet")
    assert (result.rows, result.errors) == (5, 0)
    assert len(bucket.trouble.requests) <= 4 * 5
    assert sum(size for _, _, size in bucket.trouble.requests) <= 5 << 20
    assert set(map(tuple, verdicts(tmp_path / "fleet.parquet").values())) == {(("4.17.7", True),)}


def test_trouble_changes_no_row(bucket, tmp_path):
    run(tmp_path / "calm.parquet")
    bucket.trouble.plan = ["500", "cut", "", "drop", "", "cut", "500"]
    assert run(tmp_path / "rough.parquet").errors == 0
    assert verdicts(tmp_path / "calm.parquet") == verdicts(tmp_path / "rough.parquet")


def test_an_object_that_changes_is_an_error_row_and_done_again_later(bucket, sample, tmp_path):
    table = tmp_path / "fleet.parquet"
    bucket.trouble.change = lambda: bucket.put("guests/0/guest.img", sample[:-8] + b"otherend")
    bucket.trouble.plan = ["", "change"]
    assert run(table).errors == 1
    rows = {row["address"]: row for row in pq.read_table(str(table)).to_pylist()}
    assert "changed while it was read" in rows["s3://images/guests/0/guest.img"]["error"]
    bucket.put("guests/0/guest.img", sample)
    again = run(table)
    assert (again.looked_at, again.errors) == (1, 0)
