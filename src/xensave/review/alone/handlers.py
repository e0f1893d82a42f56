"""What the C of a patch says of handlers, where there is no tree: a release's, and its changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xensave.catalogue.model import LoadMode, RecordKind, Release
from xensave.findings import Place
from xensave.headers.text.ctext import active_code
from xensave.headers.text.registrations import Registration, loads_in, registrations
from xensave.review.patches.patch import ADDED, REMOVED, FilePatch, PatchLine, is_handler_source
from xensave.rules.numbers.handler import WITHOUT_HANDLER
from xensave.rules.numbers.model import Handlers


class Known(NamedTuple):
    """The handlers, by record, as far as a release and a patch tell them.

    `registered` is None where no patch of the series touches C that registers records. `words` are
    those of the C that patches add.
    """

    loads: Mapping[str, LoadMode]
    kinds: Mapping[str, RecordKind]
    registered: Mapping[str, Registration] | None
    words: frozenset[str] = frozenset()

    @property
    def handlers(self) -> Handlers | None:
        """The registrations, where they count."""
        return None if self.registered is None else Handlers(tuple(self.registered.values()))


def of_release(release: Release, series: Iterable[FilePatch]) -> Known:
    """Returns what a release registers; whether that counts, the files of the series tell."""
    bindings = [binding for binding in release.bindings if binding.name not in WITHOUT_HANDLER]
    registered = {
        b.name: Registration(
            b.name, b.save, b.check, b.handler, b.load, b.kind, b.instances, Place(file=b.file)
        )
        for b in bindings
    }
    touched = any(is_handler_source(file.path) for file in series)
    return Known(
        {binding.name: binding.load for binding in release.bindings},
        {binding.name: binding.kind for binding in bindings},
        registered if touched else None,
    )


def patched(known: Known, files: Iterable[FilePatch]) -> Known:
    """Returns the handlers after a patch."""
    loads, kinds = dict(known.loads), dict(known.kinds)
    registered = None if known.registered is None else dict(known.registered)
    words = set(known.words)
    old: dict[str, Registration] = {}
    new: dict[str, Registration] = {}
    for file in files:
        if not is_handler_source(file.path):
            continue
        for before, after in _changes(file):
            old |= _registered(file.path, before)
            new |= _registered(file.path, after)
            loads |= loads_in(active_code("\n".join(line.text for line in after)))
            added = [line.text for line in after if line.kind == ADDED]
            words |= set(re.findall(r"\w+", active_code("\n".join(added))))
    if registered is not None:
        # What one file loses another may have got.
        stays = {name: each for name, each in registered.items() if name not in old}
        registered = stays | new
    kinds |= {name: each.kind for name, each in new.items() if each.kind}
    return Known(loads, kinds, registered, frozenset(words))


def _changes(file: FilePatch) -> Iterator[tuple[Sequence[PatchLine], Sequence[PatchLine]]]:
    for hunk in file.hunks:
        if any(line.kind in (ADDED, REMOVED) for line in hunk.lines):
            yield hunk.before, hunk.after


def _registered(path: str, lines: Sequence[PatchLine]) -> dict[str, Registration]:
    """The registrations that lines of a hunk show whole, each at its line."""
    registered = {}
    for each in registrations(path, "\n".join(line.text for line in lines)):
        line = lines[(each.place.line or 1) - 1]
        place = Place(file=path, line=line.new or line.old)
        registered[each.record] = each._replace(place=place, bodies=("", ""))
    return registered
