"""Boot the rig once, and bring back what dom0 wrote down."""

import gzip
import io
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

import xensave
from tests.xen.rig import CannotAskError
from tests.xen.rig.setup import Rig

DOM0 = Path(__file__).parents[1] / "dom0"
SOURCE = Path(xensave.__file__).parent
MEMORY = 2560
DOM0_MEMORY = 1536
ANSWERS_SIZE = 4 << 20
SECONDS = 900
# QEMU 7.2's SMAP kills dom0 at once, and without NRIPS Xen decodes RDTSCP itself, and fails.
CPU = "max,-smap,-la57,-rdtscp"
XEN_OPTIONS = (
    f"console=com1 com1=115200,8n1 dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M dom0_max_vcpus=2"
    " loglvl=all guest_loglvl=all noreboot conring_size=1M watchdog=0 xpti=no cpufreq=none"
    " spec-ctrl=no,eager-fpu sched=credit2"
)
KERNEL_OPTIONS = "console=hvc0 loglevel=4 mitigations=off panic=5 nokaslr rdinit=/init"
FATAL = re.compile(rb"Panic on CPU|Kernel panic|Hardware Dom0 (crashed|halted)")


# The keys are words of what dom0 wrote down.
Beside = TypedDict(
    "Beside",
    {
        "save": tuple[int, str],
        "saved.raw": tuple[int, str],
        "taken.raw": tuple[int, str],
        "state after": str,
        "mode": int | None,
        "equal": int,
        "different": list[int],
        "only saved": list[int],
        "only taken": list[int],
    },
)
Killed = TypedDict(
    "Killed",
    {
        "state in the pause": str,
        "exit": int,
        "state after the kill": str,
        "counted on": int,
        "files before": list[str],
        "files after": list[str],
    },
)


class Memory(Beside, Killed):
    """How a guest's memory compares with its save, and what became of a killed reader."""


class Answer(TypedDict):
    """What restoring one image came to: xl's answer, and who said what."""

    restored: bool
    exit: int
    seconds: float
    log: list[str]
    xen: list[str]
    guest: list[str]
    counters: list[int]
    left: int
    tries: int
    live: NotRequired[dict[str, str]]
    memory: NotRequired[Memory]
    pv_memory: NotRequired[Beside]


class Session(NamedTuple):
    """One boot: the answers by the case's name, where its logs lie, how long it took."""

    answers: dict[str, Answer]
    folder: Path
    seconds: float

    def last_words(self) -> str:
        """Return the end of the console and what QEMU complained of, for a boot that failed."""
        texts = [(self.folder / name).read_text("latin-1") for name in ("console.log", "qemu.log")]
        return "".join("\n".join(text.splitlines()[-20:]) + "\n" for text in texts)


def ask(
    rig: Rig, images: Mapping[str, Path], say: Callable[[str], None], silent: Container[str] = ()
) -> Session:
    """Boot Xen, have dom0 restore every image, and return what was said.

    The guests of the images named in `silent` are not waited for: they do not count.
    A hypervisor that dies takes only the answers of the cases that it had not yet got to.
    """
    _need_memory()
    run = rig.folder / "run"
    run.mkdir(exist_ok=True)
    cases, answers, console = run / "cases.tar", run / "answers", run / "console.log"
    _pack(cases, images, silent)
    answers.write_bytes(bytes(ANSWERS_SIZE))
    console.write_bytes(b"")
    say(f"booting Xen 4.17 to restore {len(images)} images")
    began = time.monotonic()
    with (run / "qemu.log").open("wb") as log:
        emulator = subprocess.Popen(
            _command(rig, cases, answers, console),
            env={**os.environ, "QEMU_MODULE_DIR": str(_libraries(rig) / "qemu")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(emulator, console, began + SECONDS)
        finally:
            emulator.kill()
            emulator.wait()
    text = answers.read_bytes().partition(b"\0")[0]
    return Session(json.loads(text or b"{}"), run, time.monotonic() - began)


def _need_memory() -> None:
    meminfo = Path("/proc/meminfo").read_text()
    free = int(meminfo.split("MemAvailable:")[1].split()[0]) // 1024
    if free < MEMORY + 256:
        raise CannotAskError(f"the rig needs {MEMORY + 256} MiB of memory, {free} are free")


def _pack(path: Path, images: Mapping[str, Path], silent: Container[str]) -> None:
    with tarfile.open(path, "w") as tar:
        for script in DOM0.glob("*.py"):
            tar.add(script, script.name)
        tar.add(SOURCE, "xensave", filter=_without_cache)
        for name, data in _texts(images, silent):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _without_cache(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


def _texts(images: Mapping[str, Path], silent: Container[str]) -> Iterator[tuple[str, bytes]]:
    yield "cases.json", json.dumps({name: name not in silent for name in images}).encode()
    for name, image in images.items():
        yield f"{name}.gz", gzip.compress(image.read_bytes(), 1, mtime=0)


def _libraries(rig: Rig) -> Path:
    return rig.host / "usr" / "lib" / "x86_64-linux-gnu"


def _command(rig: Rig, cases: Path, answers: Path, console: Path) -> list[str]:
    """Return QEMU's command line: Debian's own loader and libraries, none of the machine's."""
    share = rig.host / "usr" / "share"
    command = [rig.host / "lib64" / "ld-linux-x86-64.so.2", "--library-path", _libraries(rig)]
    command += [rig.host / "usr" / "bin" / "qemu-system-x86_64"]
    command += ["-L", share / "qemu", "-L", share / "seabios"]
    command += ["-machine", "pc", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU]
    # One processor: with two emulated ones dom0's clock jumped by centuries on a busy machine.
    command += ["-m", MEMORY, "-smp", 1, "-nodefaults", "-no-reboot", "-display", "none"]
    command += ["-monitor", "none", "-serial", f"file:{_escaped(console)}"]
    command += ["-kernel", rig.xen, "-append", XEN_OPTIONS]
    modules = f"{_escaped(rig.kernel)} {KERNEL_OPTIONS},{_escaped(rig.initrd)}"
    command += ["-initrd", modules]
    for number, (disk, access) in enumerate(((cases, "on"), (answers, "off"))):
        drive = f"file={_escaped(disk)},format=raw,if=none,id=disk{number},readonly={access}"
        command += ["-drive", drive, "-device", f"virtio-blk-pci,drive=disk{number}"]
    return [str(word) for word in command]


def _escaped(path: Path) -> str:
    """Return a path as QEMU's options take it: a comma is doubled."""
    return str(path).replace(",", ",,")


def _wait(emulator: subprocess.Popen[bytes], console: Path, end: float) -> None:
    while emulator.poll() is None and time.monotonic() < end:
        time.sleep(1)
        if FATAL.search(console.read_bytes()):
            return
