"""Set the rig up below one folder: the packages, unpacked, and dom0's RAM disk."""

import gzip
import hashlib
import platform
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.xen.rig import CannotAskError
from tests.xen.rig.debian import Apt, unpack
from tests.xen.rig.initrd import module_order, write_initrd

HYPERVISOR = "xen-hypervisor-4.17-amd64"
KERNEL = "linux-image-amd64"
LIBVIRT = ("libvirt-daemon", "libvirt-daemon-driver-xen", "libvirt-clients")
DOM0 = ("xen-utils-4.17", "python3", "python3-numpy", "busybox-static", *LIBVIRT)
EMULATOR = ("qemu-system-x86",)
# What dom0 needs of its kernel: disks to bring the cases in and the answers out, Xen's devices.
DRIVERS = (
    "virtio_pci",
    "virtio_blk",
    "xen_privcmd",
    "xen_evtchn",
    "xen_gntdev",
    "xen_gntalloc",
    "xenfs",
)
DRIVER_FOLDERS = ("xen", "virtio", "block")
INIT = Path(__file__).parents[1] / "dom0" / "init"


class Rig(NamedTuple):
    """Where the parts of a rig that is set up lie."""

    folder: Path

    @property
    def xen(self) -> Path:
        """The hypervisor, as QEMU's multiboot loader takes it."""
        return self.folder / "xen"

    @property
    def kernel(self) -> Path:
        """dom0's kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """dom0's RAM disk."""
        return self.folder / "initrd"

    @property
    def host(self) -> Path:
        """The tree that holds QEMU and its libraries."""
        return self.folder / "host"


def prepare(folder: Path, say: Callable[[str], None]) -> Rig:
    """Return the rig in `folder`, made first unless it is there and of this recipe.

    Raise CannotAskError where the machine has no way to get the packages.
    """
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        raise CannotAskError(f"this is {machine}: the packages run on Linux x86_64")
    rig, ready, recipe = Rig(folder), folder / "ready", _recipe()
    if ready.exists() and ready.read_text() == recipe:
        return rig
    ready.unlink(missing_ok=True)
    say(f"setting up Xen 4.17 in {folder}: fetching Debian's packages")
    apt = Apt(folder / "apt")
    apt.update()
    for name in (HYPERVISOR, KERNEL, *DOM0, *EMULATOR):
        apt.require(name)
    boot = [apt.alone(HYPERVISOR), apt.alone(apt.depends(KERNEL, "linux-image-"))]
    dom0, emulator = apt.closure(*DOM0), apt.closure(*EMULATOR)
    say(f"unpacking {len({*boot, *dom0, *emulator})} packages")
    trees = {name: folder / name for name in ("boot", "dom0", "host")}
    for tree in trees.values():
        shutil.rmtree(tree, ignore_errors=True)
    unpack(boot[:1], trees["boot"], "./boot/xen-*.gz")
    drivers = [f"./lib/modules/*/kernel/drivers/{name}/*" for name in DRIVER_FOLDERS]
    unpack(boot[1:], trees["boot"], "./boot/vmlinuz-*", *drivers)
    unpack(dom0, trees["dom0"])
    _fit_libvirt(trees["dom0"])
    _link_algebra(trees["dom0"])
    unpack(emulator, trees["host"])
    _assemble(rig, trees["boot"], trees["dom0"])
    ready.write_text(recipe)
    return rig


def _fit_libvirt(tree: Path) -> None:
    """Leave libvirtd what it needs here: the driver for Xen, and a CPU model that fits QEMU's.

    A driver that fails to start takes libvirtd with it. The simplest model asks for VME, which
    QEMU does not emulate; libvirt tells it in its capabilities alone.
    """
    for driver in (tree / "usr/lib/x86_64-linux-gnu/libvirt/connection-driver").iterdir():
        if driver.name != "libvirt_driver_libxl.so":
            driver.unlink()
    model = tree / "usr/share/libvirt/cpu_map/x86_486.xml"
    model.write_text(model.read_text().replace("<feature name='vme'/>", ""))
    (tree / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/libvirt/libvirtd.conf").write_text(
        'auth_unix_ro = "none"\nauth_unix_rw = "none"\nunix_sock_group = "root"\n'
    )


def _link_algebra(tree: Path) -> None:
    """Put numpy's libraries where it looks for them: scripts of theirs do so, and none ran."""
    libraries = tree / "usr" / "lib" / "x86_64-linux-gnu"
    for name in ("blas", "lapack"):
        (libraries / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")


def _assemble(rig: Rig, boot: Path, dom0: Path) -> None:
    (packed,) = boot.glob("boot/xen-*.gz")
    rig.xen.write_bytes(gzip.decompress(packed.read_bytes()))
    (kernel,) = boot.glob("boot/vmlinuz-*")
    shutil.copyfile(kernel, rig.kernel)
    drivers = module_order(boot / "lib" / "modules", DRIVERS)
    extra = [
        ("init", stat.S_IFREG | 0o755, INIT.read_bytes()),
        ("modules", stat.S_IFDIR | 0o755, b""),
    ]
    for number, path in enumerate(drivers):
        extra.append((f"modules/{number:02}-{path.name}", stat.S_IFREG | 0o644, path.read_bytes()))
    with rig.initrd.open("wb") as out:
        write_initrd(out, dom0, extra)


def _recipe() -> str:
    """Return what tells this way of setting up from an older one that left its work behind."""
    digest = hashlib.sha256()
    for path in (*sorted(Path(__file__).parent.glob("*.py")), INIT):
        digest.update(path.read_bytes())
    return digest.hexdigest()
