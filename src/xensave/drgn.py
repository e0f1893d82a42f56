"""A saved guest as a program of drgn, without extracting its memory.

drgn (LGPL) comes with the extra `drgn`; it is imported when a program is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xensave.dump.kernel_file import read_kernel, vmcoreinfo_of
from xensave.dump.vmcoreinfo import find_vmcoreinfo
from xensave.errors import MissingExtra, SourceError, UsageError
from xensave.image import Image

if TYPE_CHECKING:
    import drgn


def program(  # type: ignore[no-any-unimported]  # drgn's own module has no types
    image: Image, vmlinux: str | None = None, *, vmcoreinfo: bytes | None = None
) -> drgn.Program:
    """Returns a drgn Program of the Linux kernel in an image; its memory is read from the image.

    `vmlinux` names the kernel with its debug information. VMCOREINFO is `vmcoreinfo`, or what the
    guest's kernel keeps in memory, or is made of the vmlinux. The image must stay open.

    A program knows memory, types and symbols; the registers of a running vCPU are in an ELF core
    (`xensave extract`), and as `image.vcpu(n).registers`.

    Raises UsageError without drgn, and where neither memory nor a vmlinux tells VMCOREINFO.
    Raises AbsentRecord where the image holds no memory, SourceError for a file that drgn cannot
    read.
    """
    try:
        import drgn
    except ImportError as error:
        raise MissingExtra("this", "drgn", "drgn") from error
    memory = image.require_memory()
    info = vmcoreinfo if vmcoreinfo is not None else find_vmcoreinfo(memory)
    if info is None:
        if vmlinux is None:
            raise UsageError("its kernel keeps no VMCOREINFO in memory; name its vmlinux").about(
                image.name
            )
        info = vmcoreinfo_of(read_kernel(vmlinux), image)

    def read(address: int, count: int, _offset: int, _physical: bool) -> bytes:
        return memory.read(address, count)

    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    try:
        for run in memory.ranges():
            prog.add_memory_segment(run.physical, run.size, read, physical=True)
        prog.set_linux_kernel_custom(info, is_live=False)
        if vmlinux is not None:
            prog.load_debug_info([vmlinux])
    except drgn.MissingDebugInfoError as error:
        raise SourceError(f"{vmlinux}: drgn reads no debug information from it: {error}") from error
    except (drgn.BadDataError, drgn.FaultError, ValueError, OverflowError, OSError) as error:
        raise SourceError(f"drgn refuses it: {error}").about(image.name) from error
    return prog
