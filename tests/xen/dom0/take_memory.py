"""Run in dom0: have xensave take a running guest's memory, kill it once, and compare with a save.

The comparison is by raw files, of which the holes are passed over: what is at offset N is the
guest's memory at N, for an image that `xl save -p` wrote as for the guest that it left paused.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PAGE = 4096
IMAGE, SAVED, TAKEN, KILLED = (
    Path("/dev/shm") / name for name in ("saved", "saved.raw", "taken.raw", "killed.raw")
)
SECONDS = 600
SECONDS_TO_COUNT = 90
OWN = (sys.executable, "-m", "xensave", "extract")

Run = Callable[..., tuple[int, str]]


def taken(domain: int, name: str, run: Run, counted: Callable[[], int]) -> dict[str, object]:
    """Return what became of the guest whose reader was killed, and how its memory compares."""
    answer = killed(domain, run)
    before, end = counted(), time.monotonic() + SECONDS_TO_COUNT
    while counted() < before + 2 and time.monotonic() < end:
        time.sleep(0.5)
    answer["counted on"] = counted() - before
    return answer | beside(domain, name, run)


def beside(domain: int, name: str, run: Run) -> dict[str, object]:
    """Return how a guest's memory compares with its save, which leaves it paused."""
    answer: dict[str, object] = {}
    answer["save"] = run("xl", "save", "-p", name, str(IMAGE), timeout=SECONDS)
    for source, out in ((str(IMAGE), SAVED), (f"domain:{domain}", TAKEN)):
        code, said = run(*OWN, source, str(out), "--format", "raw", timeout=SECONDS)
        answer[out.name] = [code, said]
    answer["state after"] = state(domain, run)
    answer["mode"] = TAKEN.stat().st_mode & 0o777 if TAKEN.exists() else None
    answer |= compared(SAVED, TAKEN)
    for path in (IMAGE, SAVED, TAKEN):
        path.unlink(missing_ok=True)
    return answer


def killed(domain: int, run: Run) -> dict[str, object]:
    """Kill xensave while it has the guest paused; return the guest's state then and afterwards."""
    answer: dict[str, object] = {"files before": files()}
    with subprocess.Popen([*OWN, f"domain:{domain}", str(KILLED)]) as reader:
        end = time.monotonic() + SECONDS
        # The guest is paused by a child of the reader's, which has no other.
        children = Path(f"/proc/{reader.pid}/task/{reader.pid}/children")
        while reader.poll() is None and not children.read_text() and time.monotonic() < end:
            time.sleep(0.1)
        while reader.poll() is None and "p" not in state(domain, run) and time.monotonic() < end:
            time.sleep(0.1)
        answer["state in the pause"] = state(domain, run)
        reader.send_signal(signal.SIGKILL)
        answer["exit"] = reader.wait()
    while "p" in state(domain, run) and time.monotonic() < end:
        time.sleep(0.1)
    answer["state after the kill"] = state(domain, run)
    answer["files after"] = files()
    return answer


def files() -> list[str]:
    """Return the names of the files beside the output."""
    return sorted(path.name for path in KILLED.parent.iterdir())


def state(domain: int, run: Run) -> str:
    """Return a domain's state as `xl list` prints it: six letters or dashes."""
    words = run("xl", "list", str(domain))[1].split()
    return words[-2] if len(words) > 1 else ""


def compared(saved: Path, live: Path) -> dict[str, object]:
    """Return how many frames both files have with the same contents, and which differ."""
    left, right = dict(pages(saved)), dict(pages(live))
    both = left.keys() & right.keys()
    return {
        "equal": sum(left[frame] == right[frame] for frame in both),
        "different": sorted(frame for frame in both if left[frame] != right[frame]),
        "only saved": sorted(left.keys() - both),
        "only taken": sorted(right.keys() - both),
    }


def pages(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a sparse file that are not zero, by their number."""
    with path.open("rb") as file:
        at = 0
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            file.seek(at)
            for start in range(at, end, PAGE):
                page = file.read(PAGE)
                if page.count(0) < len(page):
                    yield start // PAGE, page
            at = end
