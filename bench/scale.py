"""Measure cost against size, and plot it: `python -m bench.scale --folder DIR --plot OUT.svg`.

Each point is a process of its own: its processor time (the lowest of three) and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from xensave.container.framing import OPTIONAL, pack_record
from xensave.testing import streams
from xensave.testing.sparse import write_sparse_image

REPEAT = 3
GIB = 1 << 30
EXAMPLES = Path(__file__).parents[1] / "examples"

# The peak is VmHWM: a child's rusage holds its parent's until it has more of its own.
DRIVER = """
import resource, sys
from xensave.cli import main
main(sys.argv[1:])
sys.stdout.flush()
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, peak, file=sys.stderr)
"""


class Axis(NamedTuple):
    """What grows: its name, its unit, the sizes, what makes the inputs, and the commands."""

    name: str
    unit: str
    sizes: tuple[int, ...]
    make: Callable[[Path, int], list[str]]
    commands: tuple[tuple[str, ...], ...]


class Point(NamedTuple):
    """One measurement."""

    axis: str
    command: str
    size: int
    seconds: float
    peak_mib: float


def _records(folder: Path, count: int) -> list[str]:
    path = folder / "records.img"
    record = pack_record(OPTIONAL | 0x77, bytes(64))
    path.write_bytes(streams.libxc_stream(record * count))
    return [str(path)]


def _vcpus(folder: Path, count: int) -> list[str]:
    path = folder / "vcpus.ctx"
    path.write_bytes(streams.with_vcpus((EXAMPLES / "pvh1.ctx").read_bytes(), count))
    return [str(path)]


def _memory(folder: Path, gibibytes: int) -> list[str]:
    path = folder / "memory.img"
    write_sparse_image(path, gibibytes * GIB)
    return [str(path)]


def _images(folder: Path, count: int) -> list[str]:
    path = folder / "one.img"
    path.write_bytes(streams.hvm_image())
    return [str(path)] * count


SHOW, VERIFY = ("show",), ("verify",)
AXES = (
    Axis("records", "records", (1_000, 10_000, 100_000), _records, (SHOW, VERIFY)),
    Axis(
        "vCPUs",
        "vCPUs",
        (1, 2, 4, 8, 16, 32, 64, 128),
        _vcpus,
        (SHOW, ("show", "--all"), VERIFY, ("check", "--target", "4.17", "--type", "pvh")),
    ),
    Axis("memory", "GiB", (1, 4, 16, 64, 256, 1024), _memory, (SHOW, VERIFY)),
    Axis("images", "images", (1, 10, 100, 1000), _images, (VERIFY,)),
)


def measure(axis: Axis, folder: Path) -> Iterator[Point]:
    """Yield the points of an axis."""
    for size in axis.sizes:
        inputs = axis.make(folder, size)
        for command in axis.commands:
            runs = [_run([*command, *inputs]) for _ in range(REPEAT)]
            seconds, peak = min(runs)
            yield Point(axis.name, " ".join(command), size, round(seconds, 4), round(peak, 1))
        for name in set(inputs):
            Path(name).unlink()


def _run(words: list[str]) -> tuple[float, float]:
    """Return the seconds of processor time and the peak memory in MiB of one run."""
    read, write = os.pipe()
    argv = [sys.executable, "-c", DRIVER, *words]
    null = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, write, 2)]
    process = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
    os.close(write)
    os.close(null)
    with open(read) as said:
        seconds, peak = said.read().split("\n")[-2].split()
    os.waitpid(process, 0)
    return float(seconds), int(peak) / 1024


def plot(points: list[Point], out: Path) -> None:
    """Draw time and memory of each axis, both axes logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "xensave", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, panes = pyplot.subplots(2, len(AXES), figsize=(3.2 * len(AXES), 5.2), squeeze=False)
    for column, axis in enumerate(AXES):
        top, bottom = panes[0][column], panes[1][column]
        for command in axis.commands:
            label = " ".join(command)
            own = [p for p in points if (p.axis, p.command) == (axis.name, label)]
            sizes = [p.size for p in own]
            top.plot(sizes, [p.seconds for p in own], marker="o", markersize=3, label=label)
            bottom.plot(sizes, [p.peak_mib for p in own], marker="o", markersize=3)
        top.set(xscale="log", yscale="log", title=axis.name)
        top.legend(fontsize=6)
        bottom.set(xscale="log", xlabel=axis.unit, ylim=(0, None))
    panes[0][0].set_ylabel("seconds of processor time")
    panes[1][0].set_ylabel("peak memory, MiB")
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def main() -> int:
    """Measure all axes, print the points as a table, and plot them."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where inputs are made")
    parser.add_argument("--plot", type=Path, help="an SVG file")
    parser.add_argument("--json", type=Path, help="the points as JSON")
    parser.add_argument("--axis", action="append", help="records, vCPUs, memory, images")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    points = []
    for axis in AXES:
        if args.axis and axis.name not in args.axis:
            continue
        for point in measure(axis, args.folder):
            points.append(point)
            row = f"{point.size:>8,} {axis.unit:<8} {point.command:<22}"
            print(f"{row} {point.seconds:9.3f} s {point.peak_mib:8.1f} MiB", flush=True)
    if args.json:
        args.json.write_text(json.dumps([point._asdict() for point in points], indent=1) + "\n")
    if args.plot:
        plot(points, args.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
