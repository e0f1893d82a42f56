"""A scan by a Dask cluster of two workers, one of which is killed in the run."""

import os
import signal
from pathlib import Path

import pytest

pq = pytest.importorskip("pyarrow.parquet")
distributed = pytest.importorskip("distributed")

from xensave.fleet.cluster import DaskPool
from xensave.fleet.pool import KILLED, ProcessPool
from xensave.fleet.scan import Question, scan

QUESTION = Question(("4.17.7",))
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=50,
    ) as found:
        yield found


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(400):
        os.link(EXAMPLES / "pvh1.ctx", images / f"{number:04}.ctx")
    return images


def rows_of(table):
    rows = pq.read_table(str(table)).to_pylist()
    for row in rows:
        row.pop("scanned")
    return sorted(rows, key=lambda row: row["address"])


def test_a_lost_workers_batches_are_done_again(cluster, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("xensave.fleet.cluster.SILENCE", 600)
    pool = DaskPool(QUESTION, cluster.scheduler_address)
    victim = next(iter(cluster.workers.values())).pid
    told = []

    def tell(progress):
        told.append(progress)
        if len(told) == 3:
            os.kill(victim, signal.SIGKILL)

    try:
        result = scan([str(folder)], str(tmp_path / "dask.parquet"), QUESTION, pool, tell)
    finally:
        pool.close()
    assert (result.rows, result.errors) == (400, 0)
    scan([str(folder)], str(tmp_path / "local.parquet"), QUESTION, ProcessPool(QUESTION, 1))
    assert rows_of(tmp_path / "dask.parquet") == rows_of(tmp_path / "local.parquet")


def kills(batch, question):
    from xensave.fleet.row import rows_of

    if any("0007" in entry.address for entry in batch):
        os.kill(os.getpid(), signal.SIGKILL)
    return rows_of(batch, question)


def test_an_image_that_kills_workers_is_a_row(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("xensave.fleet.pool.rows_of", kills)
    result = scan([str(folder)], str(tmp_path / "t.parquet"), QUESTION, ProcessPool(QUESTION, 2))
    assert (result.rows, result.errors) == (400, 1)
    errors = {row["address"]: row["error"] for row in rows_of(tmp_path / "t.parquet")}
    assert errors[str(folder / "0007.ctx")] == KILLED


def test_no_scheduler_is_an_error():
    from xensave.errors import SourceError

    with pytest.raises(SourceError, match="scheduler"):
        DaskPool(QUESTION, "tcp://127.0.0.1:9")
    for address in ("nonsense", "tcp://nonsense", "udp://127.0.0.1:9"):
        with pytest.raises(SourceError, match="scheduler"):
            DaskPool(QUESTION, address)
