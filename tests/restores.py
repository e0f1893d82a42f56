"""The shared oracle of restores: edited images, what a real Xen said, and the hosts it was on."""

import json
import subprocess
import sys
from pathlib import Path

from xensave.policy.hostfile import read_host

SHARED = Path(__file__).parents[2] / "shared"
RESTORES = SHARED / "restores"


def shared_cases():
    """Yield the file of each case, the case, its host, and what the Xen there said."""
    for name, host in (("cases", "strong"), ("weak", "weak")):
        path = RESTORES / f"{name}.jsonl"
        for line in path.read_text().splitlines() if path.is_file() else ():
            case = json.loads(line)
            yield path, case, host, case["real"] if "real" in case else case["hosts"][host]


def make_image(cases, name, image):
    """Write a case's image."""
    make = RESTORES / "make.py"
    subprocess.run([sys.executable, make, "--cases", cases, name, image], check=True)


def host_of(name):
    """Read the policies of a host."""
    return read_host(str(SHARED / "data" / "hosts" / f"{name}-xen417" / "xen-cpuid-p.txt"))
