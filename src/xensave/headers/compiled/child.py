"""The process that parses C, from its parent's side."""

from __future__ import annotations

import importlib.util
import json
import signal
from functools import cache

from xensave.child import Child, ChildEnded
from xensave.errors import LimitExceeded, MissingExtra
from xensave.headers.compiled.job import Job, ParserAnswer
from xensave.headers.compiled.limits import ANSWER, FIELDS, MEMORY, SECONDS

_WORDS = {
    "fields": f"more than {FIELDS} fields",
    "memory": f"more than {MEMORY >> 20} MiB of memory",
    "parse": "what libclang cannot parse",
}

_CHILD = Child(
    "the parser of C headers", "from xensave.headers.compiled.worker import main; main()"
)


def ask(job: Job, label: str) -> ParserAnswer:
    """Returns what a compilation gives.

    Raises LimitExceeded, which names `label`, above a limit.
    """
    _require_libclang()
    try:
        answer: ParserAnswer = json.loads(_CHILD.ask(json.dumps(job), ANSWER))
    except ChildEnded as ended:
        raise LimitExceeded(f"{label}: its headers take {_why(ended)}") from ended
    if answer["limit"]:
        raise LimitExceeded(f"{label}: its headers take {_WORDS[answer['limit']]}")
    return answer


@cache
def _require_libclang() -> None:
    if importlib.util.find_spec("clang") is None:
        raise MissingExtra("reading C headers", "libclang", "headers")


def _why(ended: ChildEnded) -> str:
    """Returns what there was too much of."""
    if ended.status == -signal.SIGPROF:
        return f"more than {SECONDS:g} s of processor time"
    return f"more than {ANSWER >> 20} MiB to describe" if ended.cut else _WORDS["memory"]
