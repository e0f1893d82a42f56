"""The rows: a command, what it is held against, the ratio that it aims at, and what limits it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent
XENSAVE = shlex.quote(str(BIN / "xensave"))
PYTHON = shlex.quote(sys.executable)
EXAMPLES = Path(__file__).parents[1] / "examples"
SAMPLE = shlex.quote(str(EXAMPLES / "hvm1.ctx"))

WALL = "wall"
PROCESSOR = "processor"

START = "start-up of Python and of xensave"
KERNEL = "the kernel's own copy, on both sides"
READS = "a system call for each record, on both sides"


class Row(NamedTuple):
    """`command` beside `against`; `goal` is the largest ratio that the row aims at, of `of`.

    From each is taken what its `start` takes in the same round: the row is about the work.
    """

    name: str
    command: str
    against: str
    versus: str
    goal: float
    limit: str
    of: str = WALL
    start: str = ""
    against_start: str = ""


class Inputs(NamedTuple):
    """The generated files, and the folder that outputs go to.

    `small` is an image of no pages to speak of, `begun` one of so many that numpy is imported for
    them; `other` is `dense` with a page changed, `fleet` a folder of images. `first` is where the
    first page record of an image begins. `walk` and `pages` are the C programs, None where there
    is no compiler.
    """

    sparse: Path
    terabyte: Path
    dense: Path
    other: Path
    small: Path
    begun: Path
    fleet: Path
    first: int
    out: Path
    verify_stream_v2: str | None
    walk: Path | None
    pages: Path | None


def rows(inputs: Inputs) -> Iterator[Row]:
    """Yield every row that compares whole processes."""
    yield from _start_up()
    yield from _verify("sparse", inputs.sparse, inputs)
    yield from _verify("dense", inputs.dense, inputs)
    if inputs.walk:
        yield from _walks(inputs, inputs.walk)
    yield from _convert(inputs)
    yield from _compressed(inputs)
    yield from _memory(inputs)


def _start_up() -> Iterator[Row]:
    bare, versus = f"{PYTHON} -c pass", "bare interpreter"
    check = f"{XENSAVE} check {SAMPLE} --target 4.17"
    yield Row("--version", f"{XENSAVE} --version", bare, versus, 1.3, START, PROCESSOR)
    yield Row(
        "import xensave", f"{PYTHON} -c 'import xensave'", bare, versus, 1.3, START, PROCESSOR
    )
    yield Row("show a context", f"{XENSAVE} show {SAMPLE}", bare, versus, 2.0, START, PROCESSOR)
    yield Row("check a context", check, bare, versus, 6.0, START, PROCESSOR)


def _verify(kind: str, path: Path, inputs: Inputs) -> Iterator[Row]:
    image = shlex.quote(str(path))
    whole, piped = f"{XENSAVE} verify -q {image}", f"cat {image} | {XENSAVE} verify -q -"
    start = f"{XENSAVE} verify -q {shlex.quote(str(inputs.small))}"
    yield Row(f"verify, {kind} file", whole, f"cat {image}", "cat", 1 / 5, START)
    if inputs.verify_stream_v2:
        script = Path(inputs.verify_stream_v2).resolve()
        theirs = f"env PYTHONPATH={shlex.quote(str(script.parents[1]))} {PYTHON} {script}"
        yield Row(
            f"verify, {kind} file", whole, f"{theirs} --format xl -i {image}", "verify-stream-v2",
            1 / 20, READS, PROCESSOR, start, f"{theirs} --help",
        )  # fmt: skip
    yield Row(
        f"verify, {kind} pipe", piped, f"cat {image} | cat > /dev/null", "cat | cat", 1.1,
        "the first cat",
    )  # fmt: skip


def _walks(inputs: Inputs, walk: Path) -> Iterator[Row]:
    """Yield what a walk over every record costs beside a C loop that reads the same bytes.

    `show` reads of each record its head and its first PFN, which lie together.
    """
    image, small = shlex.quote(str(inputs.terabyte)), shlex.quote(str(inputs.small))
    begun = shlex.quote(str(inputs.begun))
    loop = f"{shlex.quote(str(walk))} {image} {inputs.first}"
    show, verify = f"{XENSAVE} show --walk", f"{XENSAVE} verify -q"
    yield Row(
        "show, every record", f"{show} {image}", loop, "C, heads", 1.5, READS, PROCESSOR,
        f"{show} {small}",
    )  # fmt: skip
    yield Row(
        "verify, every record", f"{verify} {image}", f"{loop} pfns", "C, heads and PFNs", 1.7,
        READS, PROCESSOR, f"{verify} {begun}",
    )  # fmt: skip


def _convert(inputs: Inputs) -> Iterator[Row]:
    image, out = shlex.quote(str(inputs.dense)), shlex.quote(str(inputs.out / "out.img"))
    convert = f"{XENSAVE} convert -q --target 4.20 --allow-loss"
    ours, theirs = f"rm -f {out}; {convert} {image} {out}", f"rm -f {out}; cp {image} {out}"
    limit = "start-up, and the kernel's own copy, on both sides"
    yield Row("convert a file", ours, theirs, "cp", 1.05, limit)
    piped = f"cat {image} | {convert} - - | cat > /dev/null"
    copied = f"cat {image} | cat | cat > /dev/null"
    yield Row("convert a pipe", piped, copied, "cat | cat | cat", 1.15, "the two cats")


def _compressed(inputs: Inputs) -> Iterator[Row]:
    packed = shlex.quote(str(inputs.out / "dense.img.zst"))
    out = shlex.quote(str(inputs.out / "out.img.zst"))
    ours = f"rm -f {out}; {XENSAVE} convert -q --target 4.20 --allow-loss {packed} {out}"
    theirs = f"rm -f {out}; zstd -dc {packed} | zstd -q -o {out}"
    if (inputs.out / "dense.img.zst").exists():
        begun, small = shlex.quote(str(inputs.out / "out.img")), shlex.quote(str(inputs.small))
        start = f"rm -f {begun}; {XENSAVE} convert -q --target 4.20 {small} {begun}"
        yield Row(
            "convert, compressed", ours, theirs, "zstd -d | zstd", 1.1, "zstd, on both sides",
            PROCESSOR, start,
        )  # fmt: skip


def _memory(inputs: Inputs) -> Iterator[Row]:
    """Yield what takes a guest's memory out, compares it, and looks at many images."""
    image, out = shlex.quote(str(inputs.dense)), shlex.quote(str(inputs.out / "out.raw"))
    ours = f"rm -f {out}; {XENSAVE} extract -q --format raw {image} {out}"
    copied = f"rm -f {out}; cp {image} {out}"
    yield Row("extract, raw", ours, copied, "cp", 1.1, KERNEL)
    if inputs.pages:
        program = f"{shlex.quote(str(inputs.pages))} {image} {inputs.first} {out}"
        yield Row("extract, raw", ours, f"rm -f {out}; {program}", "C, pages", 1.1, KERNEL)
    other = shlex.quote(str(inputs.other))
    yield Row(
        "diff", f"{XENSAVE} diff {image} {other} > /dev/null || test $? = 1",
        f"cmp -s {image} {other} || test $? = 1", "cmp", 1.0, "start-up, page faults",
    )  # fmt: skip
    fleet, table = shlex.quote(str(inputs.fleet)), shlex.quote(str(inputs.out / "out.parquet"))
    scan = f"rm -f {table}; {XENSAVE} scan {fleet} -o {table} --target 4.20 --jobs 1"
    yield Row("scan, 1 job", scan, f"cat {fleet}/* > /dev/null", "cat", 1.0, "imports, verdicts")
