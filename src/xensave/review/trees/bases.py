"""The releases that a change can be held against, and the one that it is nearest to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from importlib.resources import files
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import Binding, Layout, Release
from xensave.headers.model import HeaderSpace


class Base(NamedTuple):
    """A release, the names that each number had up to it, and why it was chosen.

    `saved` tells by a record's name which sizes of it which releases up to then wrote.
    """

    release: Release
    past: Mapping[int, frozenset[str]]
    why: str
    saved: Mapping[str, Mapping[int, tuple[str, ...]]] = {}


class Bases:
    """The catalogue's releases in order, oldest first, each loaded when it is asked for."""

    @cached_property
    def names(self) -> Sequence[str]:
        """The releases' names."""
        return catalogue.release_names()

    @cached_property
    def dates(self) -> Mapping[str, date]:
        """When each series of releases began, by its name."""
        text = files("xensave.review").joinpath("data/dates.json").read_text(encoding="utf-8")
        return {name: date.fromisoformat(day) for name, day in json.loads(text).items()}

    def layouts(self, name: str) -> Mapping[str, Layout]:
        """Returns a release's layouts by id, compat ones too."""
        bindings = self.release(name).bindings
        ids = {layout for each in bindings for layout in (each.layout, each.compat) if layout}
        return {each: catalogue.layout(each) for each in ids}

    def release(self, name: str) -> Release:
        """Returns the number space of a release."""
        return catalogue.release(name)

    def named(self, name: str, why: str = "as asked") -> Base:
        """Returns the release of a name.

        Raises UsageError for one that the catalogue does not have.
        """
        release = self.release(name)
        return Base(release, self._past(release.name), why, self._saved(release.name))

    def nearest(
        self, headers: HeaderSpace, when: datetime | None = None, version: str = ""
    ) -> Base | None:
        """Returns the release whose numbers and sizes are most like these; None before the first.

        Of several alike it is the one of this version, else the last one from before `when`, else
        the last of all.
        """
        candidates = self.before(when)
        if not candidates:
            return None
        mine = {(r.name, r.typecode, r.layout.size if r.layout else 0) for r in headers.records}

        def likeness(name: str) -> int:
            release = self.release(name)
            theirs = {(b.name, b.typecode, b.size) for b in release.bindings}
            return -len(mine ^ theirs) - (release.code_max != headers.code_max)

        def rank(item: tuple[int, str]) -> tuple[int, bool, int]:
            return likeness(item[1]), item[1] == version, item[0]

        best = max(enumerate(candidates), key=rank)[1]
        return self.named(best, "nearest by its numbers")

    def before(self, when: datetime | None) -> list[str]:
        """Returns the releases made up to a time, oldest first.

        All of them where no time is known.
        """
        day = None if when is None else when.astimezone(UTC).date()
        return [name for name in self.names if day is None or self._date(name) <= day]

    def _date(self, name: str) -> date:
        series = ".".join(name.split(".")[:2])
        return self.dates.get(name) or self.dates.get(series) or date.max

    def _up_to(self, name: str) -> Iterator[tuple[str, Binding]]:
        """What each release up to one binds."""
        for earlier in self.names[: self.names.index(name) + 1]:
            for binding in self.release(earlier).bindings:
                yield earlier, binding

    def _saved(self, name: str) -> Mapping[str, Mapping[int, tuple[str, ...]]]:
        saved: dict[str, dict[int, tuple[str, ...]]] = {}
        for earlier, binding in self._up_to(name):
            sizes = saved.setdefault(binding.name, {})
            sizes[binding.size] = (*sizes.get(binding.size, ()), earlier)
        return saved

    def _past(self, name: str) -> Mapping[int, frozenset[str]]:
        past: dict[int, frozenset[str]] = {}
        for _, binding in self._up_to(name):
            past[binding.typecode] = past.get(binding.typecode, frozenset()) | {binding.name}
        return past
