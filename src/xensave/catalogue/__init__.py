"""The record layouts and numbers of every Xen release, as data with a schema.

>>> from xensave.catalogue import layout_for, release
>>> release("4.17").binding("RTC").layout
'RTC.2'
>>> layout_for("RTC", 16).introduced.release
'3.1'
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from xensave.catalogue.files import index
from xensave.catalogue.names import MASTER, normalise, point_release, release_names
from xensave.catalogue.points import series_of
from xensave.errors import UsageError

if TYPE_CHECKING:
    from xensave.catalogue.model import Binding, Layout, Number, Release, Shape, Space
    from xensave.catalogue.owned import OwnedRange

__all__ = [
    "MASTER",
    "layout",
    "layout_for",
    "layouts_of",
    "name_of",
    "names_of",
    "normalise",
    "number_in",
    "numbers_of",
    "point_release",
    "record_names",
    "release",
    "release_names",
    "reservation_of",
    "series_of",
    "shape",
    "space",
    "space_names",
    "title_of",
    "typecode_of",
]


@cache
def release(name: str) -> Release:
    """Returns the number space of a release: "4.17" is 4.17.0.

    A point release is itself ("4.17.7").

    Raises UsageError for one that the catalogue does not have.
    """
    # Whoever asks for the name of a number alone needs no layouts.
    from xensave.catalogue.load import load_release

    whole = load_release(series_of(name))
    point = point_release(name)
    if point is None:
        return whole
    ref = "RELEASE-" + ".".join(str(number) for number in point)
    for variant in whole.variants:
        if ref in variant.refs:
            bindings = [old for old in whole.bindings if old.name not in variant.absent]
            merged = {binding.name: binding for binding in [*bindings, *variant.bindings]}
            return whole._replace(
                ref=ref,
                code_max=variant.code_max,
                entry_size=variant.entry_size,
                check_pass=variant.check_pass,
                bindings=tuple(sorted(merged.values(), key=_by_typecode)),
            )
    return whole


def _by_typecode(binding: Binding) -> int:
    return binding.typecode


def newest_series() -> str:
    """Returns the newest release that has a number: "master" is not one."""
    return next(name for name in reversed(release_names()) if name != MASTER)


def record_names() -> list[str]:
    """Returns every record that a release has or had, by number, then by age."""
    return list(index()["records"])


def layouts_of(record: str) -> tuple[Layout, ...]:
    """Returns every layout of a record, oldest first. Raises UsageError for an unknown name."""
    from xensave.catalogue.load import load_record

    return load_record(record)


def layout(layout_id: str) -> Layout:
    """Returns the layout with that id ("CPU.4"). Raises UsageError where there is none."""
    for version in layouts_of(layout_id.rpartition(".")[0]):
        if version.id == layout_id:
            return version
    raise UsageError(f"no layout {layout_id!r}")


def names_of(typecode: int) -> tuple[str, ...]:
    """Returns the names that a number has had, newest first.

    >>> names_of(15)
    ('VIRIDIAN_DOMAIN', 'VIRIDIAN')
    """
    order = index()["releases"]
    entries = [
        (name, entry) for name, entry in index()["records"].items() if entry["typecode"] == typecode
    ]
    entries.sort(key=lambda item: order.index(item[1]["last"]), reverse=True)
    return tuple(name for name, _ in entries)


def typecode_of(record: str) -> int:
    """Returns the number of a record by its name. Raises UsageError for an unknown one.

    >>> typecode_of("CPU"), typecode_of("CPU_MSR")
    (2, 20)
    """
    entry = index()["records"].get(record)
    if entry is None:
        raise UsageError(f"no record is called {record!r}")
    return entry["typecode"]


def name_of(typecode: int, release_name: str | None = None) -> str | None:
    """Returns the name of a number in a release, or its newest name; None where it has none."""
    if release_name is None:
        return next(iter(names_of(typecode)), None)
    binding = release(release_name).binding(typecode)
    return binding.name if binding else None


@lru_cache(4096)
def title_of(typecode: int, release_name: str | None = None) -> str:
    """Returns what to call a record: its name in the release that wrote it, else its newest.

    A number that no release binds is "type 22".

    >>> title_of(15, "3.2"), title_of(22)
    ('VIRIDIAN_DOMAIN', 'type 22')
    """
    return name_of(typecode, release_name) or name_of(typecode) or f"type {typecode}"


def reservation_of(typecode: int, release_name: str = MASTER) -> OwnedRange | None:
    """Returns the reservation of a release's headers that a number falls in.

    >>> reservation_of(22).owner
    'Amazon'
    """
    reservations = release(release_name).reservations
    return next((owned for owned in reservations if typecode in owned), None)


def layout_for(key: int | str, length: int, release_name: str | None = None) -> Layout | None:
    """Returns the layout of a record, by number or name, of `length` bytes; None if unknown.

    A known release's own layout is taken, or the older one that it converts where the length is
    that one's. Where the release is unknown, or has neither of that length, the newest layout of
    just that length is; failing that, the release's own, or the newest.
    """
    own = None
    if release_name is not None:
        binding = release(release_name).binding(key)
        if binding is not None:
            own = layout(binding.layout)
            if own.size == length or (own.flexible and length >= own.size):
                return own
            if binding.compat is not None and layout(binding.compat).size == length:
                return layout(binding.compat)
    names = names_of(key) if isinstance(key, int) else (key,)
    known = [name for name in names if name in index()["records"]]
    sized = _sized(known, length)
    if sized is not None:
        return layout(sized)
    return own or (layouts_of(known[0])[-1] if known else None)


def _sized(records: list[str], length: int) -> str | None:
    """Returns the newest layout of that length, one that a release saves before a compat one."""
    entries = [entry for name in records for entry in reversed(index()["records"][name]["layouts"])]
    for wanted in (False, True):
        for layout_id, size, compat in entries:
            if size == length and compat is wanted:
                return layout_id
    return None


def shape(record_layout: Layout, bits: int = 64) -> Shape:
    """Returns a layout as an ABI lays it out: 64 for x86-64, 32 for 32-bit x86."""
    return record_layout.shape(bits)


def space_names() -> list[str]:
    """Returns the names of the other numbered ABIs."""
    return list(index()["spaces"])


def space(name: str) -> Space:
    """Returns another numbered ABI of the public headers by its name.

    >>> space("hvm-param").name_of(1), space("hvm-param").number_of("VIRIDIAN")
    ('STORE_PFN', 9)

    Raises UsageError for one that the catalogue lacks.
    """
    from xensave.catalogue.load import load_space

    return load_space(name)


@lru_cache(256)
def number_in(space_name: str, name: str) -> int:
    """Returns the number of a name in another ABI. Raises UsageError for a name that none has.

    >>> number_in("hvm-param", "VIRIDIAN")
    9
    """
    number = space(space_name).number_of(name)
    if number is None:
        raise UsageError(f"the catalogue has no {space_name} {name!r}")
    return number


@lru_cache(256)
def numbers_of(space_name: str, release_name: str) -> tuple[Number, ...]:
    """Returns the numbers of another ABI that a release has: which stream records it knows, say.

    >>> [number.name for number in numbers_of("libxl-record", "4.6")][-1]
    'CHECKPOINT_END'
    """
    order = release_names()
    place = order.index(series_of(release_name))
    return tuple(
        number
        for number in space(space_name).numbers
        if order.index(number.first) <= place <= order.index(number.last)
    )
