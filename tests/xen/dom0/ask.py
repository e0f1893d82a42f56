"""Run in dom0: restore each image in turn, and write down what was said.

ask.py FOLDER OUT: FOLDER holds cases.json, names and whether the guest counts, and NAME.gz, the
images; OUT takes the answers as JSON, written anew after each case, so that a hypervisor that dies
leaves the others'.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import take_memory

COUNTER = re.compile(rb"COUNT cpu0/\d+ (\d+) ")
ENOUGH = 4
SECONDS_TO_RESTORE = 180
SECONDS_TO_COUNT = 90
# Under emulation a guest, rarely, stands still after a restore that Xen accepted.
TRIES = 3
IMAGE = Path("/dev/shm/image")
LOOKED_AT, PV_LOOKED_AT = "plain", "legacy"
"""The cases whose guests are looked at while they run: a PVH guest; of a PV guest the memory."""
LOGS = Path("/var/log/xen")
XL = ("xl",)
VIRSH = ("virsh", "-c", "xen:///system")
LIBVIRT_MAGIC = b"libvirt-xml\n"
LIBVIRT_LOGS = Path("/var/log/libvirt/libxl")
SECONDS_TO_START = 120


def run(*command: str, timeout: float = 60) -> tuple[int, str]:
    """Return a command's exit code and all that it wrote; -1 where it hung."""
    with open("/run/said", "w+b") as said:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=timeout,
                check=False,
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = -1
        said.seek(0)
        return code, said.read().decode("utf-8", "backslashreplace")


def start() -> None:
    """Start what xl needs: xenstored, dom0's own entries, xenconsoled."""
    must("xenstored", "--pid-file=/run/xenstored.pid")
    for _ in range(100):
        if run("xenstore-read", "-s", "/")[0] == 0:
            break
        time.sleep(0.1)
    must("xen-init-dom0")
    must("xenconsoled", "--log=guest", f"--log-dir={LOGS}", "--pid-file=/run/xenconsoled.pid")
    # A guest must not starve dom0, which waits for it.
    must("xl", "sched-credit2", "-d", "0", "-w", "65535")


def start_libvirt() -> None:
    """Start libvirtd, once: the images that libvirt's frame is around are for its driver of Xen."""
    if Path("/run/libvirtd.pid").exists():
        return
    must("libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid")
    end = time.monotonic() + SECONDS_TO_START
    while run(*VIRSH, "version")[0] and time.monotonic() < end:
        time.sleep(1)


def must(*command: str) -> None:
    """Run a command that cannot be done without."""
    code, said = run(*command)
    if code:
        raise SystemExit(f"{command[0]}: exit {code}: {said}")


def guests() -> list[dict[str, object]]:
    """Return the domains there are beside dom0."""
    listed = json.loads(run("xl", "list", "-l")[1])
    return [entry for entry in listed if entry["domid"]]


def logs() -> list[Path]:
    """Return the logs of guests' consoles."""
    return sorted(LOGS.glob("guest-*.log"))


def libvirt_logs() -> list[Path]:
    """Return the logs that libvirt's driver has libxl and libxc write."""
    return sorted(LIBVIRT_LOGS.glob("*.log"))


def sizes(paths: list[Path]) -> dict[Path, int]:
    """Return how much there is of each log."""
    return {path: path.stat().st_size for path in paths}


def added(paths: list[Path], before: dict[Path, int]) -> bytes:
    """Return what logs hold since they had the sizes `before`."""
    return b"".join(path.read_bytes()[before.get(path, 0) :] for path in paths)


def look(domain: int, name: str) -> dict[str, str]:
    """Have Xen's own tool and xensave say what a paused guest's registers are.

    Xen's is asked again at the end: what differs between its two answers moves by itself.
    """
    own = (sys.executable, "-m", "xensave", "show")
    run("xl", "pause", str(domain))
    said = {
        "xen-hvmctx": run("xen-hvmctx", str(domain))[1],
        "by id": run(*own, f"domain:{domain}", "--style", "hvmctx", timeout=300)[1],
        "by name": run(*own, f"domain:{name}", "--json", timeout=300)[1],
        "xen-hvmctx again": run("xen-hvmctx", str(domain))[1],
        "absent": run(*own, "domain:31000", timeout=300)[1],
        "dom0": run(*own, "domain:0", timeout=300)[1],
    }
    run("xl", "unpause", str(domain))
    return said


def restore(image: Path, *, counts: bool) -> dict[str, object]:
    """Restore one image, let its guest count, look at it if asked, and remove it again."""
    with gzip.open(image) as packed, IMAGE.open("wb") as out:
        shutil.copyfileobj(packed, out, 1 << 20)
    with IMAGE.open("rb") as file:
        tool = VIRSH if file.read(len(LIBVIRT_MAGIC)) == LIBVIRT_MAGIC else XL
    if tool is VIRSH:
        start_libvirt()
    before, libvirt_before = sizes(logs()), sizes(libvirt_logs())
    run("xl", "dmesg", "-c")
    began = time.monotonic()
    options = ("-e",) if tool is XL else ()
    code, log = run(*tool, "restore", *options, str(IMAGE), timeout=SECONDS_TO_RESTORE)
    log += added(libvirt_logs(), libvirt_before).decode("utf-8", "backslashreplace")
    took = time.monotonic() - began
    end = time.monotonic() + (SECONDS_TO_COUNT if code == 0 and counts else 0)
    while len(COUNTER.findall(added(logs(), before))) < ENOUGH and time.monotonic() < end:
        time.sleep(0.5)
    answer = {
        "restored": code == 0,
        "exit": code,
        "seconds": round(took, 2),
        "log": log.splitlines(),
        "xen": run("xl", "dmesg", "-c")[1].splitlines(),
        "guest": added(logs(), before).decode("latin-1").splitlines(),
        "counters": [int(n) for n in COUNTER.findall(added(logs(), before))],
        "left": len(guests()),
    }
    if code == 0 and image.name == f"{LOOKED_AT}.gz":
        (guest,) = guests()
        domain, name = int(guest["domid"]), str(guest["config"]["c_info"]["name"])
        answer["live"] = look(domain, name)
        answer["memory"] = take_memory.taken(
            domain, name, run, lambda: len(COUNTER.findall(added(logs(), before)))
        )
    if code == 0 and image.name == f"{PV_LOOKED_AT}.gz":
        (guest,) = guests()
        name = str(guest["config"]["c_info"]["name"])
        answer["pv_memory"] = take_memory.beside(int(guest["domid"]), name, run)
    for guest in guests():
        run(*tool, "destroy", str(guest["domid"]))
    return answer


def ask(image: Path, *, counts: bool) -> dict[str, object]:
    """Restore one image; again where its guest was restored and stood still, and say how often."""
    for tries in range(1, TRIES + 1):
        answer = {**restore(image, counts=counts), "tries": tries}
        if not counts or not answer["restored"] or answer["counters"]:
            break
    return answer


def main(folder: Path, out: str) -> None:
    """Ask about every case, and keep the answers so far on the disk `out`."""
    os.environ["PYTHONPATH"] = str(folder)
    start()
    answers: dict[str, object] = {}
    with open(out, "r+b", buffering=0) as disk:
        for name, counts in json.loads((folder / "cases.json").read_text()).items():
            print(f"RIG: {name}", flush=True)
            answers[name] = ask(folder / f"{name}.gz", counts=counts)
            disk.seek(0)
            disk.write(json.dumps(answers).encode() + b"\0")
            os.fsync(disk.fileno())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
