"""crash opens what is extracted; it finds no task list of this kernel, but shows its memory."""

import shutil
import subprocess

import pytest

from tests.memory import samples
from xensave.dump import Format, Options, extract

CRASH = shutil.which("crash")
pytestmark = pytest.mark.skipif(CRASH is None, reason="needs crash")

IDLE = ["__schedule", "schedule_idle", "cpu_startup_entry", "arch_call_rest_init", "start_kernel"]


@pytest.mark.parametrize(
    ("name", "format", "last"),
    [
        (samples.PAIR, Format.ELF, "secondary_startup_64_no_verify"),
        (samples.PAIR, Format.CORE, "secondary_startup_64_no_verify"),
        (samples.PV, Format.CORE, "xen_start_kernel"),
    ],
)
def test_the_stack_of_the_idle_task(name, format, last, tmp_path):
    (tmp_path / "vmlinux").write_bytes(samples.vmlinux())
    info = (samples.SHARED / "memory/rig-kernel.vmcoreinfo.txt").read_bytes()
    with samples.shared_image(name) as image:
        extract(image, str(tmp_path / "dump"), format, Options(info))
    command = [CRASH, "--no_kmem_cache", "-s", tmp_path / "vmlinux", tmp_path / "dump"]
    done = subprocess.run(
        command, input="bt 0\nquit\n", capture_output=True, text=True, check=False, timeout=120
    )
    stack = done.stdout[done.stdout.index("PID: 0 ") :]
    frames = [line.split()[2] for line in stack.splitlines()[1:] if line.startswith(" #")]
    assert frames[: len(IDLE) + 1] == [*IDLE, last]
