"""What every release makes of a guest."""

from __future__ import annotations

from collections.abc import Sequence

from xensave.engine.verdict import Refused, Verdict
from xensave.image import Image
from xensave.image.input import JudgedInput
from xensave.report.page import Answer
from xensave.toolstack.judge import Judge
from xensave.toolstack.releases.matrix import outcome
from xensave.views.answers.verdicts import verdict_object


def answers(image: Image, judge: Judge) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """Returns the answers of a judge's targets, and what they all take for granted."""
    result = []
    assumes: dict[str, None] = {}
    for target in judge.targets:
        verdict = judge.judge(JudgedInput(image.name, None, None, image), target)
        if not isinstance(verdict, Refused):
            assumes.update(dict.fromkeys(verdict.assumes))
        result.append(answer_of(target, verdict))
    return tuple(result), tuple(assumes)


def answer_of(target: str, verdict: Verdict) -> Answer:
    """Returns a verdict as a page has it."""
    fields = verdict_object("", target, verdict)
    reasons = [_text(fields["reason"]), *_texts(fields["depends"]), *_texts(fields["fixups"])]
    return Answer(
        release=target,
        outcome=outcome(verdict),
        place=_text(fields["record"]),
        errno=_text(fields["errno"]),
        reasons=tuple(reason for reason in reasons if reason),
        cite=_text(fields["cite"]),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
