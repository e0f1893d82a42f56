"""Edit an image: try the changes first where the input can be read twice, then write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave.container.events import CONTEXT, LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.convert.output import Writer
from xensave.diff.change import FieldDifference
from xensave.edit.assignment import Assignment
from xensave.edit.editor import Editor
from xensave.edit.judge import EditedImage
from xensave.engine.verdict import Verdict
from xensave.errors import UsageError
from xensave.source import Input, Source, open_source
from xensave.source.opening import can_be_read_twice
from xensave.source.output import writing


class EditRequest(NamedTuple):
    """What shall be changed, and which release shall take the result.

    `target` is None for the release that the image names; `release` names the layouts where the
    image does not. With `force` no release is asked.
    """

    assignments: list[Assignment]
    target: str | None = None
    release: str | None = None
    force: bool = False


class Edited(NamedTuple):
    """What was changed, and what the target says to it; None where it was not asked."""

    changes: tuple[FieldDifference, ...]
    verdict: Verdict | None
    target: str | None


def edit(
    what: Input,
    out: str | None,
    request: EditRequest,
    *,
    max_size: int | None = None,
    format: str | None = None,
) -> Edited:
    """Edits `what` into `out` (paths, or "-"; None to write nothing), and returns what was changed.

    A file appears under its name only when it is complete. Input that can be read twice is tried
    first: a refusal writes nothing. From a pipe a refusal comes before libxc's END: the output
    stops without it, and whoever reads it refuses it too.

    Raises EditRefused where the target would refuse the result, UsageError for an assignment that
    cannot be carried out, and what a walk raises for a damaged image.
    """
    if out is None or can_be_read_twice(what):
        with open_source(what, max_size=max_size, format=format) as source:
            tried = _Pass(source, request, judged=not request.force, early=False)
            for _ in tried.run():
                pass
        if out is None:
            return tried.result
        with open_source(what, max_size=max_size, format=format) as source:
            _write(source, out, request._replace(force=True))
        return tried.result
    with open_source(what, max_size=max_size, format=format) as source:
        return _write(source, out, request)


def _write(source: Source, out: str, request: EditRequest) -> Edited:
    with writing(out) as output:
        writer = Writer(source, output.fd, fresh=output.fresh)
        done = _Pass(source, request, judged=not request.force, early=True)
        for event, new in done.run():
            if new is None:
                writer.keep(event)
            else:
                writer.write(new)
        writer.close()
        return done.result


class _Pass:
    """One walk over the image: each event with what it becomes.

    What is edited is judged at the end, or `early`, before libxc's END is given: nothing that
    comes after it can be edited.
    """

    def __init__(self, source: Source, request: EditRequest, *, judged: bool, early: bool) -> None:
        self._source = source
        self._request = request
        self._editor = Editor(request.assignments, request.release)
        self._judged = EditedImage() if judged else None
        self._early = early
        self._settled = False
        self._target: str | None = None
        self._verdict: Verdict | None = None

    def run(self) -> Iterator[tuple[Event, bytes | None]]:
        for event in walk(self._source):
            new = self._editor.edit(event)
            if self._judged is not None and not self._settled:
                self._judged.take(event, new)
            if self._early and (event.kind == CONTEXT or event.is_record(LIBXC, libxc.END)):
                self._settle()
            yield event, new
        if not self._settled:
            self._settle()

    def _settle(self) -> None:
        """Nothing more will be changed: see that all was, and that the target takes it."""
        self._settled = True
        self._editor.check_met()
        if self._judged is None:
            return
        self._target = self._request.target or self._editor.release
        if self._target is None:
            raise UsageError("which release shall take the result? --target R, or --force")
        self._verdict = self._judged.check(self._target)

    @property
    def result(self) -> Edited:
        return Edited(tuple(self._editor.changes), self._verdict, self._target)
