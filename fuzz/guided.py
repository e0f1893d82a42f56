"""Coverage-guided fuzzing with atheris: `python -m fuzz.guided TARGET [libFuzzer options]`.

A crash is written as crash-* into the folder that -artifact_prefix names.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["xensave"]):
    from fuzz.targets import TARGETS, run


def main() -> None:
    """Fuzz the target that the first word names."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
