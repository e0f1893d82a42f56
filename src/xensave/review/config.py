"""Waivers: rules switched off or lowered for a path or a record, with a reason.

They stand in `.xensave.toml`, or in `[tool.xensave]` of `pyproject.toml`:

    [[waive]]                       # [[tool.xensave.waive]] in pyproject.toml
    rule = "RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED"
    record = "Amazon"               # a record, an owner, or a pattern; or: path = "xen/*"
    severity = "note"               # "off" where it is left out
    reason = "deployed since 2016, see the minutes of 2019-12-19"

    used = ["22-34"]                # what --used says
    registries = ["vendor.toml"]    # what --registry says, from this file's directory
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from xensave.catalogue import toml_table
from xensave.errors import UsageError
from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.numbers.model import Objection
from xensave.rules.rows import BY_ID

OFF = "off"
_ORDER = (OFF, NOTE, WARNING, ERROR)
_KEYS = {"waive", "used", "registries"}
_WAIVER_KEYS = {"rule", "path", "record", "severity", "reason"}


@dataclass(frozen=True, slots=True)
class Waiver:
    """One rule, off or at most of a severity, where path and record match (None: anywhere)."""

    rule: str
    reason: str
    severity: str = OFF
    path: str | None = None
    record: str | None = None

    def covers(self, objection: Objection) -> bool:
        """Is this objection waived or lowered?"""
        file = objection.finding.place.file or ""
        subject = objection.subject
        return (
            self.rule == objection.finding.rule
            and (self.path is None or fnmatchcase(file, self.path))
            and (
                self.record is None
                or fnmatchcase(subject, self.record)
                or fnmatchcase(subject.split(".", 1)[0], self.record)
            )
        )


@dataclass(frozen=True, slots=True)
class Config:
    """What a project states about its reviews."""

    waivers: tuple[Waiver, ...] = ()
    used: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Waived:
    """An objection that a waiver switched off, and why."""

    objection: Objection
    reason: str


def read_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in a file. Raises UsageError for one that does not say what it must."""
    data = toml_table.read(path)
    if Path(path).name == "pyproject.toml":
        tool = data.get("tool")
        own = tool.get("xensave", {}) if isinstance(tool, dict) else {}
        if not isinstance(own, dict):
            raise UsageError(f"{path}: tool.xensave is not a table")
        data = own
    return _config(data, str(path))


def find_config(folder: str | os.PathLike[str]) -> Config:
    """The configuration of a directory or the nearest one above it; an empty one if none has any.

    `.xensave.toml` goes before a `pyproject.toml` of the same directory.
    """
    start = Path(folder).resolve()
    for place in (start, *start.parents):
        for name in (".xensave.toml", "pyproject.toml"):
            if (place / name).is_file():
                config = read_config(place / name)
                if name == ".xensave.toml" or config != Config(source=config.source):
                    return config
    return Config()


def waive(objections: list[Objection], config: Config) -> tuple[list[Objection], list[Waived]]:
    """What stands after the waivers, lowered where they say so, and what they switch off."""
    standing, waived = [], []
    for objection in objections:
        waiver = next((w for w in config.waivers if w.covers(objection)), None)
        if waiver is None:
            standing.append(objection)
        elif waiver.severity == OFF:
            waived.append(Waived(objection, waiver.reason))
        else:
            finding = objection.finding
            lower = min(waiver.severity, finding.severity, key=_ORDER.index)
            standing.append(objection._replace(finding=finding._replace(severity=lower)))
    return standing, waived


def _config(data: dict[str, object], source: str) -> Config:
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise UsageError(f"{source}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    waivers = data.get("waive", [])
    if not isinstance(waivers, list):
        raise UsageError(f"{source}: waive is not an array of tables")
    folder = Path(source).parent
    return Config(
        tuple(_waiver(item, source, number) for number, item in enumerate(waivers, 1)),
        tuple(_strings(data, "used", source)),
        tuple(str(folder / name) for name in _strings(data, "registries", source)),
        source,
    )


def _waiver(item: object, source: str, number: int) -> Waiver:
    where = f"{source}: waive {number}"
    if not isinstance(item, dict) or not all(isinstance(v, str) for v in item.values()):
        raise UsageError(f"{where}: not a table of strings")
    unknown = sorted(set(item) - _WAIVER_KEYS)
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]!r}")
    if item.get("rule") not in BY_ID:
        raise UsageError(f"{where}: no rule {item.get('rule')!r}; see xensave review --rules")
    if not item.get("reason", "").strip():
        raise UsageError(f"{where}: a waiver of {item['rule']} needs a reason")
    if item.get("severity", OFF) not in _ORDER:
        raise UsageError(f"{where}: severity is one of {', '.join(_ORDER)}")
    return Waiver(**item)


def _strings(data: dict[str, object], key: str, source: str) -> list[str]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{source}: {key} is not an array of strings")
    return value
