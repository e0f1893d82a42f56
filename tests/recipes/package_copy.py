"""A copy of the package to add to: links to its files, each replaced by its text when it is edited.

Nothing is written into the tree. What was touched is to be named by a recipe of CONTRIBUTING.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "src/xensave"
_RECIPE = re.compile(r"^### (.*?)$\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(src/xensave[\w./-]*|\w+\.py)`")


class PackageCopy:
    """The package below a folder of its own, and what was touched in it."""

    def __init__(self, folder):
        self.root = folder
        self.touched = []
        shutil.copytree(
            ROOT / PACKAGE,
            folder / PACKAGE,
            copy_function=os.symlink,
            ignore=shutil.ignore_patterns("__pycache__"),
        )

    def path(self, name):
        return self.root / PACKAGE / name

    def write(self, name, text):
        self.touched.append(f"{PACKAGE}/{name}")
        path = self.path(name)
        path.unlink(missing_ok=True)
        path.write_text(text)

    def add(self, name, *, before, text):
        """Put a text before the first, or with a leading \\n the line that, begins so."""
        whole = self.path(name).read_text()
        assert before in whole, f"{name} has no {before!r}"
        self.write(name, whole.replace(before, text + before, 1))

    def read_json(self, name):
        return json.loads(self.path(name).read_text())

    def write_json(self, name, value):
        self.write(name, json.dumps(value))

    def call(self, *words, status=0):
        """Run a command of the copy; return what it prints."""
        return self._ask(["-m", "xensave", *words], status)

    def python(self, text, *words):
        return self._ask(["-c", text, *words], 0)

    def _ask(self, words, status):
        paths = [str(self.root / "src"), str(ROOT)]
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def unnamed(self, *recipes):
        """Return which touched files these recipes name neither themselves nor by a folder."""
        texts = dict(_RECIPE.findall((ROOT / "CONTRIBUTING.md").read_text()))
        spans = [span for recipe in recipes for span in _SPAN.findall(texts[recipe])]
        folders = {str(Path(span).parent) for span in spans if "/" in span}
        named = {span for span in spans if "/" in span}
        named |= {f"{folder}/{span}" for span in spans if "/" not in span for folder in folders}
        named |= {f"{at}/{span}" for span in spans if "/" not in span for at in set(named)}
        touched, self.touched = self.touched, []
        return [
            name
            for name in touched
            if not any(name == at or name.startswith(f"{at}/") for at in named)
        ]
