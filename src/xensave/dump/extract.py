"""Take a guest's memory out of an image, in a format that other tools open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from xensave.dump import flat
from xensave.dump.copying import Frames, Progress
from xensave.dump.parts import Late, Part, size_of, write_file, write_stream
from xensave.image import Image
from xensave.source.output import writing

FILE_MODE = 0o600
"""A dump holds a guest's secrets."""


class DumpFormat(StrEnum):
    """A dump's format: an ELF core, memory as it lies, LiME's ranges, or Xen's own dump-core."""

    ELF = "elf"
    RAW = "raw"
    LIME = "lime"
    CORE = "core"


class Options(NamedTuple):
    """What a format may be told: `vmcoreinfo` is a text in the place of that found in memory."""

    vmcoreinfo: bytes | None = None


def _elf(image: Image, options: Options) -> Iterable[Part]:
    # Registers, and what a kernel maps: memory alone has none.
    from xensave.dump import elf

    return elf.core(image, options.vmcoreinfo)


def _core(image: Image, _: Options) -> Iterable[Part]:
    from xensave.dump import xen_core

    return xen_core.core(image)


FORMATS: dict[DumpFormat, Callable[[Image, Options], Iterable[Part]]] = {
    DumpFormat.ELF: _elf,
    DumpFormat.RAW: lambda image, _: flat.raw(image.memory),
    DumpFormat.LIME: lambda image, _: flat.lime(image.memory),
    DumpFormat.CORE: _core,
}


class Extracted(NamedTuple):
    """What was written: bytes of the file, and frames of the guest in it.

    `vmcoreinfo` tells whether an ELF core has that note; of the other formats it is None.
    """

    size: int
    frames: int
    vmcoreinfo: bool | None = None


def extract(
    image: Image,
    out: str,
    format: DumpFormat,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Extracted:
    """Writes an image's memory to a file, or to standard output for "-".

    The file appears whole or not at all, has holes where the image has none of the guest's
    memory, and is its owner's alone to read. `progress` is told how many bytes were written.
    Raises LimitExceeded for memory that the format cannot hold, AbsentRecord where there is none.

    >>> import os, tempfile
    >>> from xensave import open as open_image
    >>> with open_image("examples/hvm1.img.zst") as image, tempfile.TemporaryDirectory() as folder:
    ...     extract(image, f"{folder}/memory.lime", DumpFormat.LIME)
    Extracted(size=16760992, frames=4092, vmcoreinfo=None)
    """
    image.require_memory()
    parts = list(FORMATS[format](image, options or Options()))
    size = size_of(parts)
    with writing(out) as output:
        if output.fresh:
            os.fchmod(output.fd, FILE_MODE)
        write = write_file if output.fresh else write_stream
        write(output.fd, parts, image.memory, progress)
    complete = all(part.complete() for part in parts if isinstance(part, Late))
    return Extracted(
        size,
        sum(part.frames for part in parts if isinstance(part, Frames)),
        complete if format is DumpFormat.ELF else None,
    )
