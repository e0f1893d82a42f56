"""Count the function calls of whole commands, as sys.setprofile sees them: steadier than time.

`python -m bench.calls` prints a line for each command below.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from types import FrameType

COMMANDS = {
    "show": ("show", "examples/hvm1.img.zst", "--record", "CPU"),
    "check, refused early": ("check", "examples/hvm1.img.zst", "--target", "4.13"),
    "check": ("check", "examples/hvm1.img.zst", "--target", "4.17.7"),
    "convert": ("convert", "examples/hvm1.img.zst", "{out}", "--target", "4.16.0"),
    "review": ("review", "examples/reserve-v1.mbox"),
}


def calls(words: tuple[str, ...]) -> int:
    """Return how many Python functions a command calls, imports of modules apart."""
    from xensave.cli import main

    count = 0

    def see(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        if event == "call" and "xensave" in frame.f_code.co_filename:
            count += 1

    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        chosen = [word.format(out=f"{folder}/out") for word in words]
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(io.StringIO()):
            sys.setprofile(see)
            try:
                main(chosen)
            finally:
                sys.setprofile(None)
    return count


if __name__ == "__main__":
    for name, words in COMMANDS.items():
        print(f"{name:<22}{calls(words):>10}")
