"""From what a person names (a release, a tree, a binary, a registry) to its claims."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xensave.binaries.hypervisor import HypervisorSpace
from xensave.catalogue import layout, names_of, numbers_of, release
from xensave.catalogue import space as catalogue_space
from xensave.catalogue.model import Layout, RecordKind
from xensave.catalogue.names import is_spelled_as_release
from xensave.catalogue.owned import SAVE_RECORD
from xensave.catalogue.registry import (
    Registry,
    read_registry,
    shipped_names,
    shipped_registry,
)
from xensave.errors import Malformed, UsageError, XensaveError
from xensave.headers.model import HeaderRecord, HeaderSpace
from xensave.numbers.claims import XEN, ClaimedRecord, Claims
from xensave.numbers.points import Bound, bound_in
from xensave.numbers.space import release_title

if TYPE_CHECKING:
    from xensave.headers.trees.tree import Tree

KINDS = (
    "a release (4.17), a directory of headers, GITDIR@REV, an xen-syms file, a registry (.toml) "
    "or the name of a shipped one"
)


def claims_of(text: str, space: str = SAVE_RECORD) -> Claims:
    """Returns the claims of a source by its name: what it is shows in its form, then on the disk.

    >>> claims_of("4.13").code_max, claims_of("amazon").ranges[0].last
    (20, 34)
    >>> [record.name for record in claims_of("citrix", "mapspace").records]
    ['vlapic', 'physical']

    Raises UsageError for what is no source, and what the readers of each kind raise.
    """
    directory, at, revision = text.rpartition("@")
    if at and os.path.isdir(directory):  # noqa: PTH112 - pathlib is slow
        from xensave.headers.trees.tree import GitRepository, GitTree

        with GitRepository(directory) as repository:
            return _tree_claims(GitTree(repository, revision), text, space)
    if os.path.isdir(text):  # noqa: PTH112
        from xensave.headers.trees.tree import DirectoryTree

        return _tree_claims(DirectoryTree(text), text, space)
    if text.endswith(".toml"):
        return registry_claims(read_registry(text), space)
    if os.path.exists(text):  # noqa: PTH110
        return _binary_claims(text, space)
    if text.lower() in shipped_names():
        return registry_claims(shipped_registry(text), space)
    return _named_release(text) if space == SAVE_RECORD else _space_claims(text, space)


def _binary_claims(path: str, space: str) -> Claims:
    from xensave.binaries.hypervisor import read_hypervisor

    if space != SAVE_RECORD:
        raise UsageError(f"{path}: a binary tells save records alone, no {space}")
    try:
        return hypervisor_claims(read_hypervisor(path))
    except XensaveError as error:
        error.source = error.source or path
        if isinstance(error, Malformed) and error.offset == 0:
            # It is nothing of the kind: perhaps it was to be another one.
            raise error.reworded(f"{error.message}; a source is {KINDS}") from error
        raise


def _tree_claims(tree: Tree, source: str, space: str) -> Claims:
    """The numbers that a tree's headers state; a number of upstream's stays Xen's."""
    if space == SAVE_RECORD:
        from xensave.headers.save import read_tree

        return header_claims(read_tree(tree), source)
    from xensave.headers.spaces import description_of
    from xensave.headers.trees.numbers import read_numbers

    description = description_of(space)
    text = read_numbers(tree, description.headers[-1], description)
    if text is None:
        raise UsageError(f"{source}: no {' or '.join(description.headers[-1])} in it")
    known = {(number.number, number.name) for number in catalogue_space(space).numbers}
    records = []
    for n in text.numbers:
        if n.number is not None and not n.alias:
            owner = XEN if (n.number, n.name) in known else ""
            records.append(ClaimedRecord(n.number, n.name, None, owner, place=str(n.place)))
    return Claims(source, tuple(records), text.reservations, space=space)


def _space_claims(release_name: str, space: str) -> Claims:
    numbers = numbers_of(space, release_name)
    records = tuple(ClaimedRecord(n.number, n.name, None, XEN) for n in numbers)
    source = f"Xen {release_title(release_name)}"
    return Claims(source, records, (), upstream=True, space=space)


def _named_release(text: str) -> Claims:
    try:
        return release_claims(text)
    except UsageError as error:
        if is_spelled_as_release(text):
            raise
        raise UsageError(f"no source {text!r}: a source is {KINDS}") from error


def release_claims(name: str) -> Claims:
    """Returns the records and reservations of a release."""
    series = release(name)
    return Claims(
        source=f"Xen {release_title(name)}",
        records=tuple(
            record for binding in series.bindings for record in _in_points(binding.name, name)
        ),
        ranges=series.reservations,
        upstream=True,
        code_max=series.code_max,
    )


def _in_points(record: str, name: str) -> Iterator[ClaimedRecord]:
    """Yields what a release claims of a record: of a series, each layout of its point releases."""
    layouts: dict[str, Bound] = {}
    for bound in bound_in(record, name):
        if bound.binding is not None:
            layouts.setdefault(bound.binding.layout, bound)
    for bound in layouts.values():
        binding = bound.binding
        if binding is not None:
            made = _record(binding.typecode, record, layout(binding.layout), XEN, binding.kind)
            yield made._replace(place=bound.span) if len(layouts) > 1 else made


def header_claims(space: HeaderSpace, source: str) -> Claims:
    """Returns the records and reservations that headers state.

    A record of upstream's stays Xen's.
    """
    return Claims(
        source=source,
        records=tuple(_header_record(record) for record in space.records),
        ranges=space.reservations,
        code_max=space.code_max,
    )


def hypervisor_claims(space: HypervisorSpace) -> Claims:
    """Returns the records that a binary registers: no handler makes END and HEADER."""
    records = [
        ClaimedRecord(
            number=record.typecode,
            name=record.name,
            size=None if _is_flexible(record.typecode, record.name) else record.size,
            owner=_owner(record.typecode, record.name),
            kind=record.kind,
            place=record.save,
        )
        for record in space.records
    ]
    return Claims(space.source, tuple(records), (), code_max=space.code_max)


def registry_claims(registry: Registry, space: str = SAVE_RECORD) -> Claims:
    """Returns the ranges of a vendor, and the numbers that it has deployed."""
    records = [
        ClaimedRecord(used.number, used.name, used.size, registry.owner, kind=used.kind)
        for used in registry.used(space)
    ]
    return Claims(registry.source, tuple(records), tuple(registry.ranges_of(space)), space=space)


def _header_record(record: HeaderRecord) -> ClaimedRecord:
    owner = _owner(record.typecode, record.name)
    made = _record(record.typecode, record.name, record.layout, owner, None)
    return made._replace(place=str(record.place))


def _record(
    typecode: int, name: str, struct_layout: Layout | None, owner: str, kind: RecordKind | None
) -> ClaimedRecord:
    size = None if struct_layout is None or struct_layout.flexible else struct_layout.size
    return ClaimedRecord(typecode, name, size, owner, struct_layout, kind)


def _owner(typecode: int, name: str) -> str:
    return XEN if name in names_of(typecode) else ""


def _is_flexible(typecode: int, name: str) -> bool:
    if name not in names_of(typecode):
        return False
    from xensave.catalogue import layouts_of

    return layouts_of(name)[-1].flexible
