"""Count lines of code by room: no blanks, comments, docstrings, data or rows of rule tables.

`python -m bench.lines` counts the tree as it stands, `python -m bench.lines REV...` revisions.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = "src/xensave/"
_SKIPPED = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
     tokenize.ENCODING, tokenize.ENDMARKER}
)  # fmt: skip


def code_lines(text: str) -> int:
    r"""Return how many lines hold code.

    >>> code_lines('x = 1  # why\n\nROWS = (\n    1,\n    2,\n)\n')
    1
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SKIPPED:
            lines.update(range(token.start[0], token.end[0] + 1))
    for first, last in _no_code(ast.parse(text)):
        lines.difference_update(range(first, last + 1))
    return len(lines)


def _no_code(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield the lines of docstrings, and of tables: literals of several lines bound to a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, node.end_lineno or node.lineno
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_table(node.value):
            yield node.lineno, node.end_lineno or node.lineno


def _is_table(value: ast.expr | None) -> bool:
    return value is not None and (value.end_lineno or value.lineno) > value.lineno


def tree_lines(revision: str | None) -> Counter[str]:
    """Return the lines of code of each room of the tree, or of a revision of it."""
    found: Counter[str] = Counter()
    for path, text in _files(revision):
        room, _, rest = path.removeprefix(SOURCE).partition("/")
        found[room if rest else "xensave"] += code_lines(text)
    return found


def _files(revision: str | None) -> Iterator[tuple[str, str]]:
    if revision is None:
        for path in sorted(Path(SOURCE).rglob("*.py")):
            yield str(path), path.read_text()
        return
    listing = _git("ls-tree", "-r", "--name-only", revision, SOURCE)
    for path in listing.splitlines():
        if path.endswith(".py"):
            yield path, _git("show", f"{revision}:{path}")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def main(revisions: list[str]) -> None:
    """Print a column for each revision."""
    columns = [tree_lines(revision) for revision in revisions or [None]]  # type: ignore[list-item]
    for room in sorted(set().union(*columns)):
        print(f"{room:<12}", *(f"{column[room]:>8}" for column in columns))
    print(f"{'all':<12}", *(f"{sum(column.values()):>8}" for column in columns))


if __name__ == "__main__":
    main(sys.argv[1:])
