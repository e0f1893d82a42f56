"""What the user asks of a conversion."""

from __future__ import annotations

from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import Release
from xensave.container.events import LayerName
from xensave.convert.rules import RecordPlace, RecordRule
from xensave.engine import Policy
from xensave.errors import UsageError
from xensave.policy.host import Host


class Settings(NamedTuple):
    """The target release, and the source's where the image does not name it; rules and leave.

    `policy` is the CPU policy that the guest is held to where the image carries none, `host` what
    is known of the target's. `to` is the format of the result, where it is another than the
    image's; `metadata` what that demands.

    >>> Settings("RELEASE-4.17.7").version
    (4, 17)
    """

    target: str
    source: str | None = None
    rules: tuple[RecordRule, ...] = ()
    policy: Policy | None = None
    host: Host | None = None
    repair: bool = False
    allow_loss: bool = False
    to: str | None = None
    metadata: bytes | None = None

    def check(self) -> None:
        """Raises UsageError for an unknown release, or two rules about one record."""
        names = [self.target] if self.source is None else [self.target, self.source]
        for name in names:
            catalogue.series_of(name)
        _by_place(self.rules)

    @property
    def release(self) -> Release:
        """The target's number space. Raises UsageError for an unknown release."""
        return catalogue.release(self.target)

    @property
    def version(self) -> tuple[int, int]:
        """What the domain header says of the target; master counts as the newest release."""
        name = self.release.name
        if name == catalogue.MASTER:
            name = catalogue.newest_series()
        major, minor = name.split(".")
        return int(major), int(minor)

    @property
    def to_legacy(self) -> bool:
        """Whether the target reads legacy streams only: Xen 4.5 and older."""
        return not self.release.stream_read

    @property
    def by_typecode(self) -> dict[int, RecordRule]:
        """The rules about records of the HVM context, by typecode."""
        return {rule.number: rule for rule in _by_place(self.rules).values() if rule.layer is None}

    @property
    def by_record(self) -> dict[tuple[LayerName, int], RecordRule]:
        """The rules about records of the streams, by layer and number."""
        return {
            (rule.layer, rule.number): rule
            for rule in _by_place(self.rules).values()
            if rule.layer is not None
        }


def _by_place(rules: tuple[RecordRule, ...]) -> dict[RecordPlace, RecordRule]:
    by_place: dict[RecordPlace, RecordRule] = {}
    for rule in rules:
        before = by_place.setdefault(rule.place, rule)
        if before is not rule:
            raise UsageError(f"{rule.record}: {before.reason} and {rule.reason}")
    return by_place
