"""Prints a log of mass mutation as the table of a page: `python -m fuzz.summary LOG`.

The page is docs/explanation/security.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def summary(log: Path) -> str:
    """Return the log's numbers in a sentence and a table."""
    found = json.loads(log.read_text())
    lines = [
        f"Inputs {found['first']:,} to {found['first'] + found['inputs'] - 1:,} of "
        f"`--seed {found['seed']}`, each given to one target: {found['failed']:,} failures; a "
        f"process grew by {found['memory_growth_kib'] / 1024:.1f} MiB at the most.",
        "",
        "| target | took | refused with an error | slowest, ms |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, part in found["targets"].items():
        counts = f"{part['taken']:,} | {part['refused']:,} | {part['slowest_ms']}"
        lines.append(f"| {name} | {counts} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(summary(Path(sys.argv[1])))
