"""CPU features of every release with CPU policies: names, who may have them, dependencies.

Names and attributes are those of xen/include/public/arch-x86/cpufeatureset.h, dependencies those
of xen/tools/gen-cpuid.py, both read as text. A fact is dated by runs of point releases.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from xensave.catalogue import MASTER
from xensave.catalogue.dates import Version
from xensave.catalogue.features import OLDEST
from xensave.errors import Malformed
from xensave.headers.survey.write import Json
from xensave.headers.trees.tree import GitRepository

HEADER = "xen/include/public/arch-x86/cpufeatureset.h"
GENERATOR = "xen/tools/gen-cpuid.py"

_FEATURE = re.compile(r"XEN_CPUFEATURE\((\w+),\s*(\d+)\*32\s*\+\s*(\d+)\)\s*/\*([\w!|]*) ")
_WORD = re.compile(r"/\* .* word (\d+) .*\*/")

Fact = TypeVar("Fact")


class FeatureRow(NamedTuple):
    """A feature of a release: its word and bit, and the attributes of its comment."""

    name: str
    word: int
    bit: int
    attributes: str


class FeatureReading(NamedTuple):
    """What a release says: its features, its dependencies, the number of its words."""

    features: frozenset[FeatureRow]
    dependencies: frozenset[tuple[str, str]]
    words: int


def read_features(repository: GitRepository, ref: str) -> FeatureReading:
    """Reads a revision's features. Raises Malformed where a file is not as it always was."""
    header, generator = (repository.read(f"{ref}:{path}") for path in (HEADER, GENERATOR))
    if header is None or generator is None:
        raise Malformed(f"{ref}: no {HEADER} or {GENERATOR}")
    features = frozenset(
        FeatureRow(name, int(word) + int(bit) // 32, int(bit) % 32, attributes)
        for name, word, bit, attributes in _FEATURE.findall(header)
    )
    words = max(int(word) for word in _WORD.findall(header)) + 1
    return FeatureReading(features, frozenset(_dependencies(ref, generator)), words)


def _dependencies(ref: str, text: str) -> Iterable[tuple[str, str]]:
    """Yields (feature, one that needs it) of the generator's table."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == "deps":
                for key, value in zip(node.value.keys, node.value.values, strict=True):
                    yield from ((_name(key), name) for name in _listed(value))
                return
    raise Malformed(f"{ref}: {GENERATOR} has no table of dependencies")


def _listed(node: ast.expr) -> Iterable[str]:
    """Yields a list's names; a call stands for all bits of MSR 0x10a, written "*"."""
    if isinstance(node, ast.List):
        return [_name(element) for element in node.elts]
    return ["*"]


def _name(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Name):
        raise Malformed(f"{GENERATOR}: a dependency is no name")
    return node.id.lstrip("_")


def version_runs(there: Mapping[Version, bool]) -> list[str]:
    """Returns the runs of versions in which something is there, each "FIRST:END" without END.

    >>> version_runs({(4, 14, 0): False, (4, 14, 1): True, (4, 15, 0): False, (4, 15, 1): True})
    ['4.14.1:4.15.0', '4.15.1:']
    """
    runs: list[str] = []
    before = False
    for version in sorted(there):
        if there[version] and not before:
            runs.append(f"{_text(version)}:")
        elif before and not there[version]:
            runs[-1] += _text(version)
        before = there[version]
    return runs


def _dated(facts: Mapping[Version, Iterable[Fact]]) -> dict[Fact, dict[str, Json]]:
    """Returns when each fact holds, as a member of its row; none for one that always did."""
    sets = {version: frozenset(value) for version, value in facts.items()}
    always = [f"{_text(min(sets))}:"]
    result: dict[Fact, dict[str, Json]] = {}
    for fact in frozenset[Fact]().union(*sets.values()):
        runs = version_runs({version: fact in value for version, value in sets.items()})
        result[fact] = {} if runs == always else {"spans": list[Json](runs)}
    return result


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def versions_of(names: Mapping[str, list[str]]) -> dict[Version, str]:
    """Returns the tags from OLDEST on by version; master counts as the series after the last."""
    versions: dict[Version, str] = {}
    for series, refs in names.items():
        if series == MASTER:
            continue
        for ref in refs:
            version = tuple(map(int, re.findall(r"\d+", ref)))
            if version >= OLDEST:
                versions[version] = ref
    last = max(versions)
    versions[last[0], last[1] + 1, 0] = MASTER
    return versions


def survey_features(repository: GitRepository, names: Mapping[str, list[str]]) -> dict[str, Json]:
    """Returns the data file's words, features and dependencies, each with its spans."""
    readings = {
        version: read_features(repository, ref) for version, ref in versions_of(names).items()
    }
    words = _dated({version: range(reading.words) for version, reading in readings.items()})
    features = _dated({version: reading.features for version, reading in readings.items()})
    needs = _dated({version: reading.dependencies for version, reading in readings.items()})
    return {
        "words": [{"word": word, **words[word]} for word in sorted(words)],
        "features": [
            {**feature._asdict(), **features[feature]}
            for feature in sorted(features, key=lambda row: (row.word, row.bit, *row))
        ],
        "dependencies": [
            {"feature": feature, "needs": needed, **needs[needed, feature]}
            for needed, feature in sorted(needs)
        ],
    }
