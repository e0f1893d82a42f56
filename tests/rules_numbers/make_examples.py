"""Make src/xensave/rules/data/examples.json of the rules' fixtures: run it after adding one.

python -m tests.rules_numbers.make_examples
"""

import difflib
import json
from pathlib import Path

import xensave
from tests.rules_spaces.test_space_rules import BASE, CASES

FIXTURES = Path(__file__).parent / "rules"
DATA = Path(xensave.__file__).parent / "rules/data/examples.json"
_MOST = 12


def lines_of_diff(old, new):
    """Only the lines that differ: what a reader has to see."""
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
    lines = [line for line in found if not line.startswith(("---", "+++", "@@"))]
    kept = [line for line in lines if line[1:].strip()]
    return [*kept[:_MOST], *(["..."] if len(kept) > _MOST else [])]


def example(folder):
    lines = []
    for new in sorted((folder / "current").rglob("*")):
        if new.is_file():
            old = folder / "previous" / new.relative_to(folder / "current")
            before = old.read_text() if old.exists() else ""
            lines += lines_of_diff(before, new.read_text())
    return lines[:_MOST]


def examples():
    rules = {folder.name: {"example": example(folder)} for folder in sorted(FIXTURES.iterdir())}
    for after, rule, _, _ in CASES:
        rules.setdefault(rule, {"example": lines_of_diff(BASE, after)})
    return rules


if __name__ == "__main__":
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps({"schema": 1, "rules": examples()}, indent=1) + "\n")
