"""Findings: what a rule says of a place, as a value. Only views print them."""

from typing import Final, Literal, NamedTuple, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]
ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"


class Place(NamedTuple):
    """Where a finding points: a byte offset and record of an image, or a line of a file.

    >>> str(Place(offset=0x40, record="libxc HVM_PARAMS"))
    'offset 0x40: libxc HVM_PARAMS'
    >>> str(Place(file="save.h", line=12))
    'save.h:12'
    """

    offset: int | None = None
    record: str | None = None
    path: str | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.file is not None:
            parts.append(self.file if self.line is None else f"{self.file}:{self.line}")
        if self.offset is not None:
            parts.append(f"offset {self.offset:#x}")
        parts += [part for part in (self.record, self.path) if part]
        return ": ".join(parts)


class Finding(NamedTuple):
    """One thing that a rule found: its id, severity, place and message, and a remedy if known."""

    rule: str
    severity: Severity
    place: Place
    message: str
    remedy: str | None = None
