"""What the tests with other tools share."""

import json
import lzma
import shutil

import pytest

from tests.memory import samples
from xensave import open as open_image
from xensave.dump.gdb import Session

SCRIPT = """\
from drgn.helpers.linux.pid import find_task, for_each_task
for task in for_each_task(prog):
    if task.mm:
        print(task.pid.value_(), task.comm.string_().decode())
print([frame.name for frame in prog.stack_trace(find_task(prog, 1))][:3])
"""


GDB_SCRIPT = """\
set $task = &init_task
while 1
  printf "%d %s\\n", $task->pid, $task->comm
  set $next = (char *) $task->tasks.next
  set $task = (struct task_struct *) ($next - (char *) &((struct task_struct *) 0)->tasks)
  if $task == &init_task
    loop_break
  end
end
"""


@pytest.fixture(scope="module")
def vmlinux(tmp_path_factory):
    path = tmp_path_factory.mktemp("kernel") / "vmlinux"
    path.write_bytes(samples.vmlinux())
    return str(path)


@pytest.fixture
def session():
    """A session of gdb's protocol on the sample image."""
    with open_image(samples.HVM) as image:
        yield Session(image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A guest, its kernel, and what the tools need of it."""
    folder = tmp_path_factory.mktemp("memory")
    (folder / "guest.img").write_bytes(samples.shared_bytes(samples.PAIR))
    (folder / "kaslr.img").write_bytes(samples.pair_bytes("pvh-kaslr.img.zst"))
    (folder / "vmlinux").write_bytes(samples.vmlinux())
    (folder / "tasks.py").write_text(SCRIPT)
    (folder / "tasks.gdb").write_text(GDB_SCRIPT)
    shared = samples.SHARED / "memory"
    shutil.copy(shared / "rig-kernel.vmcoreinfo.txt", folder / "vmcoreinfo.txt")
    symbols = json.loads(lzma.decompress((shared / "rig-kernel.isf.json.xz").read_bytes()))
    for name in ("inet_sock", "unix_sock"):
        symbols["user_types"].setdefault(name, {"kind": "struct", "size": 0, "fields": {}})
    (folder / "symbols" / "linux").mkdir(parents=True)
    (folder / "symbols" / "linux" / "kernel.json").write_text(json.dumps(symbols))
    # Without jsonschema volatility3 does not validate the symbols, which takes most of a minute.
    (folder / "without").mkdir()
    (folder / "without" / "jsonschema.py").write_text("raise ImportError('left out')\n")
    return folder
