"""The line of a patch that an objection is about."""

from __future__ import annotations

from xensave.findings import Finding
from xensave.review.patches.patch import FilePatch, PatchLine, header_path
from xensave.review.result import Review
from xensave.rules.numbers.model import Objection


def patch_of(review: Review, objection: Objection) -> FilePatch | None:
    """Returns the file of the review's patch that an objection points into, if any."""
    file = objection.finding.place.file
    for patch in review.files:
        if file in (patch.path, patch.old, header_path(patch.path)):
            return patch
    return None


def advice(finding: Finding, joint: str = " ") -> str:
    """Returns a finding's message as a sentence, and its remedy behind it."""
    remedy = f"{joint}{finding.remedy}" if finding.remedy else ""
    return f"{finding.message}.{remedy}"


class Lines:
    """The lines of a review's patches by their numbers, before them and after.

    A patch may have thousands of lines, and as many objections.
    """

    def __init__(self, review: Review) -> None:
        self._review = review
        self._numbered: dict[tuple[int, bool], dict[int, PatchLine]] = {}

    def at(self, objection: Objection) -> PatchLine | None:
        """Returns the line of a hunk that an objection points at; None where no hunk shows it."""
        patch, wanted = patch_of(self._review, objection), objection.finding.place.line
        if patch is None or wanted is None:
            return None
        key = id(patch), objection.removed
        if key not in self._numbered:
            self._numbered[key] = _numbered(patch, objection.removed)
        return self._numbered[key].get(wanted)


def _numbered(patch: FilePatch, removed: bool) -> dict[int, PatchLine]:
    numbered: dict[int, PatchLine] = {}
    for hunk in patch.hunks:
        for line in hunk.lines:
            number = line.old if removed else line.new
            if number is not None:
                numbered.setdefault(number, line)
    return numbered
