"""What every release makes of a guest."""

from __future__ import annotations

from xensave.engine.verdict import Depends, Refused, Verdict
from xensave.image import Image
from xensave.image.input import JudgedInput
from xensave.report.page import ReleaseAnswer
from xensave.toolstack.judge import Judge
from xensave.toolstack.releases.matrix import outcome


def answers(image: Image, judge: Judge) -> tuple[tuple[ReleaseAnswer, ...], tuple[str, ...]]:
    """Returns the answers of a judge's targets, and what they all take for granted."""
    result = []
    assumes: dict[str, None] = {}
    for target in judge.targets:
        verdict = judge.judge(JudgedInput(image.name, None, None, image), target)
        if not isinstance(verdict, Refused):
            assumes.update(dict.fromkeys(verdict.assumes))
        result.append(answer_of(target, verdict))
    return tuple(result), tuple(assumes)


def answer_of(target: str, verdict: Verdict) -> ReleaseAnswer:
    """Returns a verdict as a page has it."""
    if isinstance(verdict, Refused):
        place, errno, cite = verdict.record or "", verdict.errno, str(verdict.cite or "")
        return ReleaseAnswer(target, outcome(verdict), place, errno, (verdict.reason,), cite)
    depends = verdict.depends if isinstance(verdict, Depends) else ()
    return ReleaseAnswer(target, outcome(verdict), "", "", (*depends, *verdict.fixups))
