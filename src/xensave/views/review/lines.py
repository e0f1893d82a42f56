"""The line of a patch that an objection is about."""

from __future__ import annotations

from xensave.review.patches.patch import FilePatch, Line, header_path
from xensave.review.result import Review
from xensave.rules.numbers.model import Objection


def patch_of(review: Review, objection: Objection) -> FilePatch | None:
    """The file of the review's patch that an objection points into, if any."""
    file = objection.finding.place.file
    for patch in review.files:
        if file in (patch.path, patch.old, header_path(patch.path)):
            return patch
    return None


def line_at(patch: FilePatch | None, objection: Objection) -> Line | None:
    """The line of a hunk that an objection points at, or None where no hunk shows it."""
    if patch is None:
        return None
    wanted = objection.finding.place.line
    for hunk in patch.hunks:
        for line in hunk.lines:
            if wanted is not None and wanted == (line.old if objection.removed else line.new):
                return line
    return None
