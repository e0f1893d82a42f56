"""crash opens what is extracted, and shows the stacks of tasks.

Debian 12's finds no task list of this kernel, whose struct pid ends in a flexible array; crash has
read such since 8.0.4 ("Fix failure of gathering task table on Linux 6.5-rc1 and later").
"""

import shutil
import subprocess

import pytest

from tests.memory import samples
from xensave.dump import DumpFormat, Options, extract

CRASH = shutil.which("crash")
pytestmark = pytest.mark.skipif(CRASH is None, reason="needs crash")

IDLE = ["__schedule", "schedule_idle", "cpu_startup_entry", "arch_call_rest_init", "start_kernel"]
SUSPENDED = ["xen_suspend", "multi_cpu_stop", "cpu_stopper_thread", "smpboot_thread_fn", "kthread"]


@pytest.fixture
def stack(tmp_path):
    """The functions on a stack that crash shows for a command, of what is extracted."""

    def shown(name, format, command, task):
        (tmp_path / "vmlinux").write_bytes(samples.vmlinux())
        info = (samples.SHARED / "memory/rig-kernel.vmcoreinfo.txt").read_bytes()
        with samples.shared_image(name) as image:
            extract(image, str(tmp_path / "dump"), format, Options(info))
        done = subprocess.run(
            [CRASH, "--no_kmem_cache", "-s", tmp_path / "vmlinux", tmp_path / "dump"],
            input=f"{command}\nquit\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        text = done.stdout[done.stdout.index(task) :]
        return [line.split()[2] for line in text.splitlines()[1:] if line.startswith(" #")]

    return shown


@pytest.mark.parametrize(
    ("name", "format", "last"),
    [
        (samples.PAIR, DumpFormat.ELF, "secondary_startup_64_no_verify"),
        (samples.PAIR, DumpFormat.CORE, "secondary_startup_64_no_verify"),
        (samples.PV, DumpFormat.CORE, "xen_start_kernel"),
    ],
)
def test_the_stack_of_the_idle_task(name, format, last, stack):
    assert stack(name, format, "bt 0", "PID: 0 ")[: len(IDLE) + 1] == [*IDLE, last]


@pytest.mark.parametrize("name", [samples.PAIR, samples.PV])
def test_the_stack_of_the_running_vcpu(name, stack):
    frames = stack(name, DumpFormat.CORE, "bt -a", "PID: 11 ")
    at = frames.index("xen_suspend")
    assert frames[at : at + len(SUSPENDED)] == SUSPENDED
