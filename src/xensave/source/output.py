"""Where a result goes: a descriptor, or a file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from xensave.errors import SourceError
from xensave.source.atomic import AtomicFile
from xensave.source.compression.compress import Compression, compressing


class Output(NamedTuple):
    """A descriptor to write to; `fresh` says that it is a new file's."""

    fd: int
    fresh: bool = False


@contextmanager
def writing(out: str | int, compression: Compression | None = None) -> Iterator[Output]:
    """Opens an output: a descriptor, "-" for standard output, or a path.

    A file appears under its name only when it is complete; a FIFO or a device has no name to be
    renamed to, and is written as it is. With `compression` all of it comes out compressed. Raises
    SourceError.
    """
    with _named(out), _opened(out) as output:
        if compression is None:
            yield output
        else:
            with compressing(output.fd, compression) as fd:
                yield Output(fd)


@contextmanager
def _named(out: str | int) -> Iterator[None]:
    """Lets an error of writing say which file it was: a descriptor's errors do not know."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFAULT:
            raise SourceError("the input was cut while it was read") from error
        if error.filename is None and isinstance(out, str) and out != "-":
            error.filename = out
        raise


@contextmanager
def _opened(out: str | int) -> Iterator[Output]:
    if out == "-":
        yield Output(1)
    elif isinstance(out, int):
        yield Output(out)
    elif _special(out):
        fd = os.open(out, os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield Output(fd)
        finally:
            os.close(fd)
    else:
        with AtomicFile(out) as fd:
            yield Output(fd, fresh=True)


def is_atomic(out: str | int) -> bool:
    """Tells whether what `writing` writes there is seen only when all of it is. Raises SourceError.

    >>> is_atomic("/tmp/new.img"), is_atomic("-"), is_atomic("/dev/null")
    (True, False, False)
    """
    return isinstance(out, str) and out != "-" and not _special(out)


def _special(path: str) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise SourceError(f"{path}: is a directory")
    return not stat.S_ISREG(mode)
