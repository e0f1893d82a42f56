"""A fleet's table as it is asked, planned with and scanned into; what web servers answer."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from fuzz.printing import printable
from fuzz.targets.choice import some
from fuzz.targets.place import folder
from xensave.errors import XensaveError
from xensave.fleet.parts import check_table, done, merge
from xensave.fleet.plan import plan as planned
from xensave.fleet.plan import script
from xensave.fleet.query import QUESTIONS, ask, ask_ready
from xensave.fleet.schema import schema
from xensave.source.remote import patience
from xensave.source.remote.http import HttpStore
from xensave.views.fleet import Form, answer_lines, plan_lines, plan_object

TARGET = "4.17"
ARGUMENTS = {"RELEASE": TARGET, "FEATURE": "sse"}
FREE = (
    "select * from fleet order by address",
    "select guest, count(*) from fleet group by all",
    "select xen, v.target, v.losses from fleet, unnest(verdicts) as t(v)",
)
ADDRESS = "http://images.invalid/guests/*.img"


def _table(data: bytes) -> str:
    path = Path(folder()) / "fleet.parquet"
    path.write_bytes(data)
    return str(path)


def query(data: bytes) -> None:
    """A ready question and SQL, in every form of an answer."""
    table = _table(data)
    for question in some(QUESTIONS, data, 2):
        argument = ARGUMENTS[question.argument] if question.argument else None
        with suppress(XensaveError):
            _answered(ask_ready(table, question.name, argument))
    for sql in some(FREE, data, 1):
        _answered(ask(table, sql))


def _answered(answer: object) -> None:
    for form in Form:
        text = "\n".join(answer_lines(answer, form, 100))  # type: ignore[arg-type]
        printable(text.split("\n"))


def plan(data: bytes) -> None:
    """An upgrade as a list and as a script."""
    plans = planned(_table(data), TARGET)
    printable(plan_lines(plans, TARGET))
    json.dumps(plan_object(plans, TARGET))
    printable(script(plans, TARGET, "converted"))


def rescan(data: bytes) -> None:
    """A scan that goes on from an earlier table: what it has, and the rows that stay."""
    table = _table(data)
    check_table(table)
    merge(table, "{}", done(table, "{}"))
    schema("{}")


class _Answer:
    """An answer of a web server: header lines, an empty line, a body."""

    def __init__(self, data: bytes) -> None:
        head, _, self._body = data.partition(b"\n\n")
        status, *lines = head.decode("latin-1").split("\n")
        self.status = int(status) if status.isascii() and status.isdecimal() else 200
        self.reason = "as asked"
        self.headers = dict(line.split(": ", 1) for line in lines if ": " in line)

    async def __aenter__(self) -> _Answer:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def raise_for_status(self) -> None:
        if self.status >= 400:
            raise OSError(f"{self.status}")

    async def text(self, errors: str) -> str:
        return self._body.decode("utf-8", errors)

    async def read(self) -> bytes:
        return self._body


class _Session:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def get(self, _url: object, **_: object) -> _Answer:
        return _Answer(self._data)


def server(data: bytes) -> None:
    """What a web server says of an object, a range of it, and its listings."""
    patience.BACKOFF = 0.0
    store = HttpStore(ADDRESS)

    async def session() -> _Session:
        return _Session(data)

    store._http.set_session = session  # type: ignore[method-assign,assignment]
    with suppress(XensaveError):
        printable(repr(entry.key) for entry in store.matches(ADDRESS))
    entry = store.entry("http://images.invalid/guests/a.img")
    store.fetch(entry, 0, 4)
