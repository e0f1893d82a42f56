"""Bytes moved by the kernel: never copied through this process where the system allows.

Each function does what it can and returns how much is left for a plain read and write.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from xensave.source.limits import PIPE_SIZE, SKIP_CHUNK

F_SETPIPE_SZ = 1031

Mover = Callable[[int, int], int]

# "Not between these two files": the caller then reads and writes.
CANNOT = frozenset(
    {
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOSYS,
        errno.EOPNOTSUPP,
        errno.EBADF,
        errno.ETXTBSY,
        errno.EPERM,
    }
)


def is_pipe(fd: int) -> bool:
    """Tells whether fd is a pipe or FIFO, which splice can drain."""
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


def widen_pipe(fd: int) -> None:
    """Asks for a larger pipe; it works as well, only slower, where the system says no."""
    with suppress(OSError):
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)


def splice(src: int, dst: int, n: int) -> int:
    """Moves n bytes from a pipe; returns what is left at its end or where splice cannot."""
    return _repeat(lambda _, m: os.splice(src, dst, min(m, SKIP_CHUNK)), 0, n)


def copy_range(src: int, offset: int, dst: int, n: int) -> int:
    """Copies n bytes of a file from an offset; returns what is left where the kernel cannot."""
    left = _repeat(lambda at, m: os.copy_file_range(src, dst, m, at), offset, n)
    return _repeat(lambda at, m: os.sendfile(dst, src, at, m), offset + n - left, left)


def _repeat(move: Mover, offset: int, n: int) -> int:
    while n:
        try:
            moved = move(offset, n)
        except OSError as error:
            if error.errno in CANNOT:
                return n
            raise
        if not moved:
            return n
        offset += moved
        n -= moved
    return 0
