"""drgn sees the guest's tasks, stacks and memory, from the image and from an ELF core of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory import samples
from xensave import open as open_image
from xensave.dump import DumpFormat, Options, extract
from xensave.dump.kernel_file import place_of, read_kernel, vmcoreinfo_of
from xensave.errors import Malformed, UsageError

drgn = pytest.importorskip("drgn")
xensave_drgn = pytest.importorskip("xensave.drgn")

VMCOREINFO = "memory/rig-kernel.vmcoreinfo.txt"


def tasks(prog):
    from drgn.helpers.linux.pid import for_each_task

    return {task.comm.string_().decode(): task for task in for_each_task(prog)}


def of_image(name, vmlinux):
    return xensave_drgn.program(samples.shared_image(name), vmlinux)


def of_core(name, vmlinux, folder):
    core = folder / "core"
    info = (samples.SHARED / VMCOREINFO).read_bytes()
    with samples.shared_image(name) as image:
        extract(image, str(core), DumpFormat.ELF, Options(info))
    prog = drgn.Program()
    prog.set_core_dump(core)
    prog.load_debug_info([vmlinux])
    return prog


@pytest.mark.parametrize("source", ["image", "core"])
@pytest.mark.parametrize("name", [samples.PAIR, samples.PV])
def test_tasks_and_a_stack(name, source, vmlinux, tmp_path):
    prog = of_image(name, vmlinux) if source == "image" else of_core(name, vmlinux, tmp_path)
    found = tasks(prog)
    wanted = {"init", "kthreadd", "xenwatch"}
    assert wanted | ({"xs-marker", "xs-count0"} if name == samples.PAIR else set()) <= set(found)
    trace = [frame.name for frame in prog.stack_trace(found["init"])]
    assert trace[:3] == ["context_switch", "__schedule", "schedule"]


def test_the_running_vcpu_has_its_registers_in_the_core(vmlinux, tmp_path):
    prog = of_core(samples.PAIR, vmlinux, tmp_path)
    with samples.shared_image(samples.PAIR) as image:
        rip = image.vcpu(0).registers.rip
    frame = prog.stack_trace(tasks(prog)["migration/0"])[0]
    assert (frame.name, frame.pc) == ("xen_hypercall_amd", rip)


def test_vmcoreinfo_of_a_kernel_file_is_the_one_written_by_hand(vmlinux):
    with samples.shared_image(samples.PAIR) as image:
        made = vmcoreinfo_of(read_kernel(vmlinux), image)
    assert made == (samples.SHARED / VMCOREINFO).read_bytes()


def test_a_kernel_that_is_not_the_guests(vmlinux):
    with open_image(samples.HVM) as image, pytest.raises(UsageError, match="another kernel"):
        place_of(read_kernel(vmlinux), image)


def test_what_is_no_kernel(tmp_path):
    for name, data in (("empty", b""), ("text", b"no ELF file"), ("cut", b"\x7fELF\x02\x01\x01")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Malformed):
            read_kernel(str(tmp_path / name))
    with pytest.raises(Malformed, match="no Linux kernel"):
        read_kernel(sys.executable)


def test_a_kernel_that_keeps_no_vmcoreinfo_needs_its_file():
    with open_image(samples.HVM) as image, pytest.raises(UsageError, match="name its vmlinux"):
        xensave_drgn.program(image)


def test_the_shell_and_a_script(vmlinux, tmp_path):
    image = samples.SHARED / samples.PAIR
    script = tmp_path / "script.py"
    script.write_text(
        "from drgn.helpers.linux.pid import find_task\n"
        "print(find_task(prog, 1).comm.string_().decode(), image.guest)\n"
    )
    command = [sys.executable, "-m", "xensave", "drgn", str(image), vmlinux]
    by_script = subprocess.run(
        [*command, "--script", script], capture_output=True, text=True, check=False
    )
    assert (by_script.stdout, by_script.returncode) == ("init pvh1\n", 0)
    typed = "print('uts', prog['init_uts_ns'].name.release.string_().decode(), image.type)\n"
    shell = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
    assert "uts 6.1.192 pvh" in shell.stdout
    assert shell.returncode == 0


def test_nothing_else_imports_drgn():
    root = Path(xensave_drgn.__file__).parent
    allowed = {root / "drgn.py", root / "cli" / "guest" / "drgn.py"}
    for path in root.rglob("*.py"):
        if path not in allowed:
            assert "import drgn" not in path.read_text(), path
            assert "from drgn" not in path.read_text(), path
