"""What the code imports is what the package names: a plain install, or an extra, brings it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_DEVELOPERS = {"dev", "docs", "fuzz"}


def imported():
    """Return the top-level packages that the source imports, and where."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], set()).add(str(path.relative_to(ROOT)))
    return found


def named():
    """Return the distributions that a plain install or an extra for users brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"]]
    lines += [line for extra in set(extras) - OF_DEVELOPERS for line in extras[extra]]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in lines}


# What another package loads by its name: fsspec its file systems.
BY_NAME = {"gcsfs", "s3fs", "xensave"}


def test_every_distribution_that_is_named_is_imported():
    names = set(imported())
    # A module that is imported by a name is in a string.
    texts = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    modules = {}
    for module, distributions in packages_distributions().items():
        for each in distributions:
            modules.setdefault(each.lower().replace("_", "-"), set()).add(module)
    unused = {
        name
        for name in named() - BY_NAME
        if not (modules.get(name, {name}) & names) and f'"{name}"' not in texts
    }
    assert not unused


def test_every_import_is_of_a_distribution_that_is_named():
    brought, known = packages_distributions(), named()
    assert "numpy" in known
    unnamed = {
        name: places
        for name, places in imported().items()
        if name not in sys.stdlib_module_names | {"xensave", "_typeshed"}
        and not {each.lower().replace("_", "-") for each in brought.get(name, [name])} & known
    }
    assert not unnamed
