"""The release series of Xen and the tags that stand for them."""

from __future__ import annotations

import re

from xensave.catalogue import MASTER
from xensave.errors import UsageError
from xensave.headers.survey.write import Json
from xensave.headers.trees.tree import GitRepository

# Before 4.0 the repository has no release tags: the last candidate or the branch point stands in.
EARLY = {
    "3.1": "3.1.0-branched",
    "3.2": "3.2.0-rc6",
    "3.3": "3.3.0-branched",
    "3.4": "3.4.0-rc3",
}

_TAG = re.compile(r"RELEASE-(4\.\d+)\.(\d+)(?:\.(\d+))?")


def points(names: dict[str, list[str]]) -> dict[str, Json]:
    """Returns the point releases of each series that has tags, oldest first.

    >>> points({"3.4": ["3.4.0-rc3"], "4.22": ["RELEASE-4.22.0"], "master": ["master"]})
    {'points': {'4.22': ['4.22.0']}}
    """
    tags: dict[str, Json] = {
        name: [ref.removeprefix("RELEASE-") for ref in refs]
        for name, refs in names.items()
        if name not in EARLY and name != MASTER
    }
    return {"points": tags}


def series(repository: GitRepository) -> dict[str, list[str]]:
    """Returns each series, oldest first, with its tags from the oldest to the newest.

    "master" is last.

    Raises UsageError for a repository without release tags.
    """
    tags: dict[str, list[tuple[tuple[int, ...], str]]] = {}
    for tag in repository.git("tag", "--list", "RELEASE-4.*").split():
        match = _TAG.fullmatch(tag)
        if match:
            point = tuple(int(number or 0) for number in match.groups()[1:])
            tags.setdefault(match[1], []).append((point, tag))
    if not tags:
        raise UsageError(f"{repository.path}: no RELEASE tags: not Xen's repository?")
    refs = {name: [ref] for name, ref in EARLY.items()}
    for name in sorted(tags, key=lambda name: int(name.split(".")[1])):
        refs[name] = [tag for _, tag in sorted(tags[name])]
    refs[MASTER] = [MASTER]
    return refs
