"""Build the catalogue from a Xen repository: read, assemble, write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from xensave.catalogue import MASTER
from xensave.headers.survey.assemble import assemble
from xensave.headers.survey.features import survey_features
from xensave.headers.survey.history import read_history
from xensave.headers.survey.reading import ReleaseReading, read_release, version_of
from xensave.headers.survey.series import points, series
from xensave.headers.survey.spaces import survey_spaces
from xensave.headers.survey.write import write_catalogue
from xensave.headers.trees.tree import GitRepository
from xensave.source.watch import counted


def build(
    gitdir: str | os.PathLike[str], out: str | os.PathLike[str], tell: Callable[[str], None]
) -> int:
    """Reads every release of the repository, writes what is new, and returns how many files.

    `tell` is called for what cannot be read and is left out.
    """
    with GitRepository(gitdir) as repository:
        names = series(repository)
        readings: dict[str, list[ReleaseReading]] = {name: [] for name in names}
        tags = [(name, ref) for name, refs in names.items() for ref in refs]
        for name, ref in counted(tags, "releases"):
            readings[name].append(read_release(repository, ref))
        firsts = {name: points_of[0].ref for name, points_of in readings.items()}
        lasts = [points_of[-1].ref for points_of in readings.values()]
        history = read_history(repository, lasts, firsts, tell)
        spaces = survey_spaces(repository, firsts)
        more = {"features.json": survey_features(repository, names), "points.json": points(names)}
        catalogue = assemble(readings, history)
        commit = readings[MASTER][-1].commit
        # Until its version is raised, master reports that of a release which has just left it.
        coming = version_of(repository, MASTER)
        aliases = {} if coming in names else {coming: MASTER}
        return write_catalogue(catalogue, spaces, Path(out), f"Xen {commit}", aliases, more)
