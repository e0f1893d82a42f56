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
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from xensave.catalogue.toml_table import TomlTable, read
from xensave.errors import UsageError
from xensave.findings import ERROR, NOTE, WARNING, Severity
from xensave.rules.numbers.model import Objection
from xensave.rules.rows import BY_ID

Strength: TypeAlias = Severity | Literal["off"]
OFF: Final = "off"
_ORDER: tuple[Strength, ...] = (OFF, NOTE, WARNING, ERROR)
_KEYS = ("waive", "used", "registries")
_WAIVER_KEYS = ("rule", "path", "record", "severity", "reason")


class Waiver(NamedTuple):
    """One rule, off or at most of a severity, where path and record match (None: anywhere)."""

    rule: str
    reason: str
    severity: Strength = OFF
    path: str | None = None
    record: str | None = None

    def covers(self, objection: Objection) -> bool:
        """Tells whether this objection is waived or lowered."""
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


class ReviewConfig(NamedTuple):
    """What a project states about its reviews."""

    waivers: tuple[Waiver, ...] = ()
    used: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    source: str = ""


class Waived(NamedTuple):
    """An objection that a waiver switched off, and why."""

    objection: Objection
    reason: str


def read_config(path: str | os.PathLike[str]) -> ReviewConfig:
    """Returns the configuration in a file.

    Raises UsageError for one that does not say what it must.
    """
    data = read(path)
    if Path(path).name == "pyproject.toml":
        tool = data.get("tool")
        own = tool.get("xensave", {}) if isinstance(tool, dict) else {}
        if not isinstance(own, dict):
            raise UsageError(f"{path}: tool.xensave is not a table")
        data = own
    return _config(data, str(path))


def find_config(folder: str | os.PathLike[str]) -> ReviewConfig:
    """Returns the configuration of a directory or the nearest one above it.

    An empty one if none has any.

    `.xensave.toml` goes before a `pyproject.toml` of the same directory.
    """
    start = Path(folder).resolve()
    for place in (start, *start.parents):
        for name in (".xensave.toml", "pyproject.toml"):
            if (place / name).is_file():
                config = read_config(place / name)
                if name == ".xensave.toml" or config != ReviewConfig(source=config.source):
                    return config
    return ReviewConfig()


def waive(
    objections: list[Objection], config: ReviewConfig
) -> tuple[list[Objection], list[Waived]]:
    """Returns what stands after the waivers, lowered where they say so, and what goes."""
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


def _config(data: dict[str, object], source: str) -> ReviewConfig:
    table = TomlTable(data, source, kind=UsageError)
    table.allow(_KEYS)
    folder = Path(source).parent
    return ReviewConfig(
        tuple(map(_waiver, table.tables("waive", required=False))),
        tuple(table.texts("used")),
        tuple(str(folder / name) for name in table.texts("registries")),
        source,
    )


def _waiver(table: TomlTable) -> Waiver:
    table.allow(_WAIVER_KEYS)
    rule = table.text("rule", required=True) or ""
    if rule not in BY_ID:
        raise table.error("rule", f"no rule {rule!r}; see xensave review --rules")
    return Waiver(
        rule,
        table.text("reason", required=True) or "",
        table.choice("severity", _ORDER, OFF),
        table.text("path"),
        table.text("record"),
    )
