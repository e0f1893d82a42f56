"""What analysts bring: an image under drgn and volatility3, a kernel's file, VMCOREINFO as text."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.corpus import seeds
from fuzz.targets.place import folder
from xensave import open as open_image
from xensave.dump import DumpFormat, Options, extract
from xensave.dump.kernel_file import read_kernel, vmcoreinfo_of
from xensave.dump.vmcoreinfo import find_vmcoreinfo
from xensave.errors import UsageError, XensaveError
from xensave.image import Image

if TYPE_CHECKING:
    import drgn as library

ADDRESSES = (0, 0x1000, 0xB8000, 1 << 32, 0xFFFFFFFF81000000)
LENGTH = 300


@cache
def _info() -> bytes:
    with open_image(seeds()["kernel"]) as image:
        return find_vmcoreinfo(image.memory) or b""


@cache
def _guest() -> Image:
    return open_image(seeds()["kernel"])


def drgn(data: bytes) -> None:
    """A program of drgn, by what memory says of its kernel or what the analyst does."""
    from xensave.drgn import program

    with open_image(data) as image:
        with suppress(XensaveError):
            _read(program(image))
        _read(program(image, vmcoreinfo=_info()))


def vmcoreinfo(data: bytes) -> None:
    """VMCOREINFO that the analyst brings, for drgn and in a core."""
    from xensave.drgn import program

    guest = _guest()
    with suppress(XensaveError):
        extract(guest, "/dev/null", DumpFormat.ELF, Options(data))
    _read(program(guest, vmcoreinfo=data))


def _read(prog: library.Program) -> None:
    from drgn import FaultError

    for address in ADDRESSES:
        # drgn tells of an address without memory by an error of its own.
        with suppress(FaultError, XensaveError):
            prog.read(address, LENGTH, physical=address < 1 << 52)


def vmlinux(data: bytes) -> None:
    """A kernel's file, and what it would have in a guest's memory."""
    path = Path(folder()) / "vmlinux"
    path.write_bytes(data)
    kernel = read_kernel(str(path))
    with suppress(UsageError):
        # The guest runs another kernel: it is asked for this one's banner at every place.
        vmcoreinfo_of(kernel, _guest())


def volatility(data: bytes) -> None:
    """The layer that volatility3 puts on a file, and bytes of the guest through it."""
    from volatility3.framework.contexts import Context
    from volatility3.framework.layers.physical import FileLayer

    from xensave.volatility import xensave_layer

    path = Path(folder()) / "image"
    path.write_bytes(data)
    xensave_layer._image.cache_clear()
    context = Context()
    context.config["base.location"] = path.as_uri()
    context.add_layer(FileLayer(context, "base", "base"))
    layer = xensave_layer.XenSaveStacker.stack(context, "base")
    try:
        if layer is not None:
            context.add_layer(layer)
            for address in (layer.minimum_address, *ADDRESSES, layer.maximum_address):
                layer.read(address, LENGTH, pad=True)
    finally:
        context.layers["base"].destroy()
