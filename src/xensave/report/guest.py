"""Gather what a page says of a saved guest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from xensave.errors import SourceError, UsageError, XensaveError
from xensave.findings import Finding
from xensave.image import Image
from xensave.report.answers import answers
from xensave.report.emulator import emulator_tables
from xensave.report.image_map import image_bars, record_tables
from xensave.report.memory import MemoryPart, memory_part
from xensave.report.page import GuestPage, PageFact, PageTable
from xensave.report.registers import vcpu_blocks
from xensave.report.settings import features, policy_tables, setting_tables
from xensave.toolstack.judge import Judge
from xensave.views.guest.summary import summary_facts

T = TypeVar("T")

_PER_RULE = 20
_HEAD = ("severity", "where", "what", "rule")


def guest_page(image: Image, judge: Judge, name: str, anchor: str, *, full: bool) -> GuestPage:
    """Returns the page of an image that goes by a name; `anchor` is where its part begins.

    With `full` it also holds what may be secret: xenstore values, the configuration, contents of
    registers that hold data. A damaged image's page says what is wrong and what rules it breaks.
    Raises SourceError and UsageError.
    """
    facts = image.facts
    findings = _findings(facts.broken or ())
    if facts.stop is not None:
        return GuestPage(anchor, name, name, findings, full, wrong=str(facts.stop))
    parts = _PageParts()
    verdicts, assumes = answers(image, judge)
    memory = parts.of(lambda: memory_part(image), MemoryPart())
    return GuestPage(
        anchor=anchor,
        title=image.guest or name,
        path=name,
        facts=parts.of(lambda: tuple(PageFact(*each) for each in summary_facts(image)), ()),
        findings=findings,
        answers=verdicts,
        assumes=assumes,
        bars=parts.of(lambda: image_bars(image), ()),
        records=parts.of(lambda: record_tables(image), ()),
        memory=memory.tables,
        memory_facts=memory.facts,
        memory_bars=memory.bars,
        vcpus=parts.of(lambda: vcpu_blocks(image, full=full), ()),
        features=parts.of(lambda: features(image), ()),
        policy=parts.of(lambda: policy_tables(image), ()),
        settings=parts.of(lambda: setting_tables(image, full=full), ()),
        emulator=parts.of(lambda: emulator_tables(image, full=full), ()),
        full=full,
        troubles=tuple(parts.troubles),
    )


class _PageParts:
    """Gathers the parts of a page; one that cannot be read is left out, and why is kept."""

    def __init__(self) -> None:
        self.troubles: dict[str, None] = {}

    def of(self, gather: Callable[[], T], instead: T) -> T:
        """Returns a part, or what stands in its place."""
        try:
            return gather()
        except (SourceError, UsageError):
            raise
        except XensaveError as error:
            self.troubles[str(error)] = None
            return instead


def _findings(broken: Sequence[Finding]) -> PageTable:
    seen: Counter[str] = Counter()
    rows = []
    for finding in broken:
        seen[finding.rule] += 1
        if seen[finding.rule] <= _PER_RULE:
            row = (finding.severity, str(finding.place), finding.message, finding.rule)
            rows.append(row)
    left = len(broken) - len(rows)
    note = f"{left:,} more of the same rules are left out." if left else ""
    return PageTable("", _HEAD, tuple(rows), (), (1, 3), note)
