"""A record's history: its layouts in order, when each came, and what changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xensave.catalogue import layouts_of, release, release_names
from xensave.catalogue.model import Binding, Layout
from xensave.numbers.changes import FieldChange, changes
from xensave.numbers.space import release_title


class Version(NamedTuple):
    """A layout of a record: the releases that save by it, and what changed since the one before.

    `since` is the layout that it is compared with, None for the first. For a layout that releases
    convert on load and do not save by, `releases` is empty and `converted_by` says which do.
    `loads` are the load modes that releases of this version have had. `points` are the point
    releases that save by it though their series did not begin so: backports, or what they undid.
    """

    layout: Layout
    releases: tuple[str, ...]
    converted_by: tuple[str, ...]
    loads: tuple[str, ...]
    since: str | None
    changes: tuple[FieldChange, ...]
    points: tuple[str, ...] = ()


def history(record: str) -> list[Version]:
    """Returns every version of a record, oldest first. Raises UsageError for an unknown name.

    >>> [(version.layout.id, version.releases[0], version.releases[-1])
    ...  for version in history("RTC")]
    [('RTC.1', '3.1', '4.13'), ('RTC.2', '4.14', 'master')]
    """
    bound = {name: release(name).binding(record) for name in release_names()}
    versions: list[Version] = []
    before: Layout | None = None
    for layout in layouts_of(record):
        saved = [name for name, b in bound.items() if b and b.layout == layout.id]
        versions.append(
            Version(
                layout=layout,
                releases=tuple(saved),
                converted_by=tuple(n for n, b in bound.items() if b and b.compat == layout.id),
                loads=tuple(dict.fromkeys(b.load for n in saved if (b := bound[n]))),
                since=before.id if before and not layout.compat else None,
                changes=changes(before, layout) if before and not layout.compat else (),
                points=tuple(_points(record, layout.id)),
            )
        )
        if not layout.compat:
            before = layout
    return versions


def _points(record: str, layout_id: str) -> Iterator[str]:
    for name in release_names():
        first = release(name).binding(record)
        for variant in release(name).variants:
            if first is not None and first.layout == layout_id:
                continue
            if any(b.name == record and b.layout == layout_id for b in variant.bindings):
                yield from (ref.removeprefix("RELEASE-") for ref in variant.refs)


def binding_of(record: str, release_name: str | None = None) -> tuple[str, Binding] | None:
    """Returns the release that binds a record, by name or the newest that does, and its binding."""
    # Reversed, the development branch comes first; what is released is what people have.
    branch, *newest_first = reversed(release_names())
    names = [release_name] if release_name else [*newest_first, branch]
    for name in names:
        binding = release(name).binding(record)
        if binding is not None:
            return release_title(name), binding
    return None


def names_over_time(typecode: int) -> list[tuple[str, str, str]]:
    """Returns the names that a number has had, oldest first, each with its first and last release.

    >>> names_over_time(15)
    [('VIRIDIAN', '3.4', '4.1'), ('VIRIDIAN_DOMAIN', '4.2', 'master')]
    """
    spans: dict[str, tuple[str, str]] = {}
    for name in release_names():
        binding = release(name).binding(typecode)
        if binding is not None:
            spans[binding.name] = (spans.get(binding.name, (name, name))[0], name)
    return [(name, first, last) for name, (first, last) in spans.items()]
