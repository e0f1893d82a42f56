"""A configuration as libxl parses it: which values it takes, by release.

libxl looks for each member that it knows, of the JSON type that it expects; a member that it does
not know, or of another type, counts as absent. At a member of the right type whose value it cannot
use it gives up: what it has read so far stays, and xl goes on with that.
Source: tools/libs/light/{gentypes.py,libxl_json.c};
the members are those of libxl_types.idl of each release, in data/config.json.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import cache, lru_cache
from typing import NamedTuple, TypeAlias

from xensave import catalogue
from xensave.catalogue.dates import Version, newest, version
from xensave.container.description import Json
from xensave.toolstack.libxl.json_types import CHECKS, dates_of_checks

Spans: TypeAlias = "list[list[str]]"


class At(NamedTuple):
    """A release: its place among the series, and its version."""

    place: int
    version: Version


_ROOT = "domain_config"
_DEPTH = 32
_TYPE = "domain_type"
"""Domain types have a rule of their own (`xensave.toolstack.libxl.creation`)."""

_DEFBOOLS = ("<default>", "True", "False")
_RANGES = {
    "int": (-(1 << 31), (1 << 31) - 1),
    "u8": (0, (1 << 8) - 1),
    "u16": (0, (1 << 16) - 1),
    "u32": (0, (1 << 32) - 1),
    "u64": (0, (1 << 63) - 1),
}
_LISTS = ("bitmap", "strings")
_ANY_TYPE = ("", "cpuid", "genid")
"""Kinds that libxl looks at whatever their JSON type is, or that have no members."""
_ELEMENTS = {"bitmap": list, "u32": int}
"""The kinds of elements of lists that are neither structs nor enumerations."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


class Unusable(NamedTuple):
    """A member whose value libxl cannot use: its path, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} {self.why}"


def unusable(values: Mapping[str, object], release: str) -> Iterator[Unusable]:
    """Yields the members whose values a release's libxl cannot use.

    >>> for each in unusable({"c_info": {"uuid": "none", "hap": "yes", "name": 5}}, "4.17"):
    ...     print(each)
    c_info.hap is 'yes', no boolean of libxl's
    c_info.uuid is 'none', no UUID
    >>> print(*unusable({"b_info": {"cpuid": {"cpuid": []}}}, "4.17.2"))
    b_info.cpuid has no list of MSRs
    """
    at = _at(release)
    yield from _members(values, _ROOT, at, "", _DEPTH)


def first_unusable(values: Mapping[str, object], release: str) -> Unusable | None:
    """Returns the member at which a release's libxl gives up first, None where it takes them all.

    Releases that differ in nothing that decides it have one answer, which is found once: a
    configuration of a megabyte has hundreds of thousands of members.
    """
    at = _at(release)
    answers = _answers(_Same(values)).unusable
    key = at.place, dates_of_checks(at.version)
    if key not in answers:
        wrong = unusable(values, release)
        answers[key] = min(wrong, key=lambda each: reach(each.path), default=None)
    return answers[key]


class _Same:
    """A configuration, the same only as itself; nobody changes what a header was parsed to."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.values is other.values

    def __hash__(self) -> int:
        return id(self.values)


class _Answers(NamedTuple):
    """What releases make of one configuration, by what decides it."""

    readable: dict[int, Mapping[str, Json]]
    unusable: dict[tuple[int, tuple[bool, ...]], Unusable | None]


@lru_cache(2)
def _answers(values: _Same) -> _Answers:
    """Returns the answers so far: of an image's configuration, and of what one release reads."""
    return _Answers({}, {})


def readable(values: Mapping[str, Json], release: str) -> Mapping[str, Json]:
    """Returns a configuration without the members that a release's libxl does not look at.

    Those are of another JSON type than the one that it expects: libxl__json_map_get() passes over
    them. Members that no release knows stay. The same object is returned where all stay.

    >>> readable({"b_info": {"max_vcpus": "2", "kernel": "/boot/linux"}}, "4.17")
    {'b_info': {'kernel': '/boot/linux'}}
    """
    at = _at(release)
    answers = _answers(_Same(values)).readable
    if at.place not in answers:
        answers[at.place] = _readable(values, _ROOT, at, _DEPTH)
    return answers[at.place]


def _readable(values: Mapping[str, Json], type_: str, at: At, depth: int) -> Mapping[str, Json]:
    kinds = dict(_fields(type_, at.place))
    result: dict[str, Json] = {}
    for name, value in values.items():
        kind = kinds.get(name)
        if kind is None or not isinstance(value, dict) or "fields" not in _types().get(kind, {}):
            if kind is None or _is_of(value, kind):
                result[name] = value
        else:
            result[name] = dict(_readable(value, kind, at, depth - 1)) if depth else value
    return values if result == values else result


def _is_of(value: object, kind: str) -> bool:
    """Tells whether a value is of the JSON type that libxl looks for."""
    if kind.startswith("[") or kind in _LISTS:
        return isinstance(value, list)
    if kind in _RANGES:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in _ANY_TYPE:
        return True
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "pairs" or "fields" in _types().get(kind, {}):
        return isinstance(value, dict)
    return isinstance(value, str) or (kind == "string" and value is None)


# Values that say no more than an absent member does.
_SAYING_NOTHING = ("False", "<default>", "default", "disabled", "unknown", "", 0, None)


def unknown(values: Mapping[str, object], release: str) -> Iterator[str]:
    """Yields the members that other releases' libxl knows and this one's passes over, by path.

    Those whose values ask for nothing are left out.

    >>> list(unknown({"b_info": {"vpmu": "True", "max_vcpus": 2, "apic": "False"}}, "4.14"))
    ['b_info.vpmu']
    """
    at = _at(release)
    yield from _passed_over(values, _ROOT, at, "", _DEPTH)


def _passed_over(
    values: Mapping[str, object], type_: str, at: At, path: str, depth: int
) -> Iterator[str]:
    for name, spans in _types()[type_].get("fields", {}).items():
        value = values.get(name)
        if _says_nothing(value):
            continue
        kinds = [kind for kind, first, last in spans if _holds(first, last, at.place)]
        if not kinds:
            yield f"{path}{name}"
        elif isinstance(value, dict) and depth and kinds[0] in _types():
            yield from _passed_over(value, kinds[0], at, f"{path}{name}.", depth - 1)


def _says_nothing(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_says_nothing, value.values()))
    return value in _SAYING_NOTHING or value == []


# What libxl reads of a domain's build information behind the part that is of its type.
_BEHIND_TYPE = frozenset((
    "arch_arm", "arch_x86", "altp2m", "altp2m_count", "vmtrace_buf_kb", "vpmu",
    "trap_unmapped_accesses", "xenstore_feature_mask", "xenstore_quota",
))  # fmt: skip
# What it reads of an HVM domain's before the video card.
_BEFORE_VIDEO = frozenset((
    "firmware", "bios", "pae", "apic", "acpi", "acpi_s3", "acpi_s4", "acpi_laptop_slate", "nx",
    "viridian", "viridian_enable", "viridian_disable", "timeoffset", "hpet", "vpt_align",
    "mmio_hole_memkb", "timer_mode", "nested_hvm", "altp2m", "system_firmware",
    "smbios_firmware", "smbios", "acpi_firmware", "hdtype", "nographic", "vga",
))  # fmt: skip


class Reach(IntEnum):
    """How far libxl came before it gave up a configuration."""

    NO_TYPE = 0
    NO_VIDEO = 1
    TYPE = 2


def reach(path: str) -> Reach:
    """Returns how far libxl comes in a configuration whose member `path` it cannot use.

    >>> reach("c_info.uuid").name, reach("b_info.type.hvm.bios").name, reach("disks[0].format").name
    ('NO_TYPE', 'NO_VIDEO', 'TYPE')
    """
    part, _, rest = path.partition(".")
    name, _, inner = rest.partition(".")
    if name == "type":
        kind, _, member = inner.partition(".")
        video = kind == "hvm" and member.partition(".")[0] in _BEFORE_VIDEO
        return Reach.NO_VIDEO if video else Reach.TYPE
    if part == "c_info" or (part == "b_info" and name not in _BEHIND_TYPE):
        return Reach.NO_TYPE
    return Reach.TYPE


def _at(release: str) -> At:
    return At(catalogue.release_names().index(newest(release).name), version(release))


def _holds(first: str, last: str, at: int) -> bool:
    """Tells whether a release has a member: what the last one read has, later ones have too."""
    order = catalogue.release_names()
    return order.index(first) <= at and (at <= order.index(last) or last == _last_read())


@cache
def _last_read() -> str:
    """Returns the last release whose libxl_types.idl the data is made of."""
    groups = [group for type_ in _types().values() for group in type_.values()]
    lasts = {span[-1] for group in groups for spans in group.values() for span in spans}
    return max(lasts, key=catalogue.release_names().index)


def _members(
    values: Mapping[str, object], type_: str, at: At, path: str, depth: int
) -> Iterator[Unusable]:
    for name, kind in _fields(type_, at.place):
        if name in values:
            yield from _value(values[name], kind, at, f"{path}{name}", depth)


def _value(value: object, kind: str, at: At, path: str, depth: int) -> Iterator[Unusable]:
    """Checks one value, and what is in it."""
    if depth == 0:
        return
    if kind.startswith("["):
        for index, each in enumerate(value if isinstance(value, list) else ()):
            yield from _element(each, kind[1:-1], at, f"{path}[{index}]", depth - 1)
    elif isinstance(value, dict) and "fields" in _types().get(kind, {}):
        yield from _members(value, kind, at, f"{path}.", depth - 1)
    else:
        wrong = _scalar(value, kind, at)
        if wrong:
            yield Unusable(path, wrong)


def _element(value: object, kind: str, at: At, path: str, depth: int) -> Iterator[Unusable]:
    """Checks an element of a list, which libxl parses without a look at its JSON type.

    A struct takes what is no object for one without members.
    """
    expected = _ELEMENTS.get(kind, str if "enum" in _types().get(kind, {}) else None)
    if expected and (not isinstance(value, expected) or isinstance(value, bool)):
        yield Unusable(path, f"is {value!r}, no {kind}")
    else:
        yield from _value(value, kind, at, path, depth)


def _scalar(value: object, kind: str, at: At) -> str:
    """Checks one value; what is not of the JSON type for its kind is not looked at by libxl."""
    if kind in CHECKS:
        return CHECKS[kind](value, at.version)
    if kind in _RANGES and isinstance(value, int) and not isinstance(value, bool):
        low, high = _RANGES[kind]
        return "" if low <= value <= high else f"is {value}, outside {low} to {high}"
    if isinstance(value, str) and kind not in _RANGES:
        wrong = _text(value, kind, at)
        return f"is {value!r}, {wrong}" if wrong else ""
    return ""


def _text(value: str, kind: str, at: At) -> str:
    if kind == "defbool":
        return "" if value.startswith(_DEFBOOLS) else "no boolean of libxl's"
    if kind == "uuid":
        return "" if _UUID.fullmatch(value) else "no UUID"
    if kind == "mac":
        return "" if _MAC.match(value) else "no MAC address"
    if kind == _TYPE or "enum" not in _types().get(kind, {}):
        return ""
    names = _names(kind, at.place)
    return "" if value.lower() in names else f"none of {', '.join(names)}"


@cache
def _fields(type_: str, place: int) -> tuple[tuple[str, str], ...]:
    """Returns the members of a type that the libxl of a release reads, each with its kind."""
    return tuple(
        (name, kind)
        for name, spans in _types()[type_].get("fields", {}).items()
        for kind, first, last in spans
        if _holds(first, last, place)
    )


@cache
def _names(kind: str, place: int) -> tuple[str, ...]:
    """Returns the values of an enumeration that the libxl of a release knows."""
    return tuple(
        name.lower()
        for name, spans in _types()[kind]["enum"].items()
        if any(_holds(first, last, place) for first, last in spans)
    )


@cache
def _types() -> dict[str, dict[str, dict[str, Spans]]]:
    path = os.path.join(os.path.dirname(__file__), "..", "data", "config.json")  # noqa: PTH118, PTH120
    with open(path, "rb") as file:
        types: dict[str, dict[str, dict[str, Spans]]] = json.load(file)["types"]
    return types
