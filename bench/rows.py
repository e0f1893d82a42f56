"""The rows: a command, what it is held against, and the ratio that it aims at."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent
XENSAVE = shlex.quote(str(BIN / "xensave"))
PYTHON = shlex.quote(sys.executable)
SAMPLE = shlex.quote(str(Path(__file__).parents[1] / "examples" / "hvm1.ctx"))


class Row(NamedTuple):
    """`command` beside `against`; `goal` is the largest wall ratio that the row aims at."""

    name: str
    command: str
    against: str
    versus: str
    goal: float | None


class Inputs(NamedTuple):
    """The generated files, and the folder that outputs go to."""

    sparse: Path
    dense: Path
    out: Path
    verify_stream_v2: str | None


def rows(inputs: Inputs) -> Iterator[Row]:
    """Yield every row that compares whole processes."""
    yield from _verify("sparse", inputs.sparse, inputs.verify_stream_v2)
    yield from _verify("dense", inputs.dense, inputs.verify_stream_v2)
    yield from _convert(inputs)
    bare = f"{PYTHON} -c pass"
    yield Row("--version", f"{XENSAVE} --version", bare, "bare interpreter", 1.5)
    yield Row("import xensave", f"{PYTHON} -c 'import xensave'", bare, "bare interpreter", 2.0)
    yield Row("show a small context", f"{XENSAVE} show {SAMPLE}", bare, "bare interpreter", 3.0)


def _verify(kind: str, path: Path, verify_stream_v2: str | None) -> Iterator[Row]:
    image = shlex.quote(str(path))
    whole, piped = f"{XENSAVE} verify -q {image}", f"cat {image} | {XENSAVE} verify -q -"
    yield Row(f"verify a {kind} file", whole, f"cat {image} > /dev/null", "cat", 1 / 5)
    if verify_stream_v2:
        script = Path(verify_stream_v2).resolve()
        modules = f"PYTHONPATH={shlex.quote(str(script.parents[1]))}"
        theirs = f"{modules} {PYTHON} {shlex.quote(str(script))} --format xl -i {image}"
        yield Row(f"verify a {kind} file", whole, theirs, "verify-stream-v2", 1 / 20)
    yield Row(f"verify a {kind} pipe", piped, f"cat {image} | cat > /dev/null", "cat | cat", 1.1)


def _convert(inputs: Inputs) -> Iterator[Row]:
    image, out = shlex.quote(str(inputs.dense)), shlex.quote(str(inputs.out / "out.img"))
    convert = f"{XENSAVE} convert -q --target 4.20 --allow-loss"
    ours, theirs = f"rm -f {out}; {convert} {image} {out}", f"rm -f {out}; cp {image} {out}"
    yield Row("convert a file", ours, theirs, "cp", 1.15)
    piped = f"cat {image} | {convert} - - | cat > /dev/null"
    yield Row(
        "convert a pipe", piped, f"cat {image} | cat | cat > /dev/null", "cat | cat | cat", 1.15
    )
