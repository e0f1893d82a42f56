"""Where a result goes: a descriptor, or a file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import NamedTuple

from xensave.errors import SourceError
from xensave.source.compression.compress import Compression, compressing
from xensave.source.inputs import refuse_input

_STREAMS = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")
_PROC_FDS = "/proc/self/fd"


class Output(NamedTuple):
    """A descriptor to write to; `fresh` says that it is a new file's."""

    fd: int
    fresh: bool = False


@contextmanager
def writing(out: str | int, compression: Compression | None = None) -> Iterator[Output]:
    """Opens an output: a descriptor, "-" for standard output, or a path.

    A file appears under its name only when it is complete; a symbolic link is followed, and what
    it points to takes the result. A FIFO or a device has no name to be renamed to, and is written
    as it is; /dev/stdout and /dev/fd/N are the descriptors that they name. With `compression` all
    of it comes out compressed. Raises SourceError, and UsageError for a file that is read.
    """
    refuse_input(_descriptor(out))
    with _named(out), _opened(_descriptor(out)) as output:
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
        if error.filename is None and not is_standard(out):
            error.filename = out if isinstance(out, str) else f"<fd {out}>"
        raise


@contextmanager
def _opened(out: str | int) -> Iterator[Output]:
    if isinstance(out, int):
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
    out = _descriptor(out)
    return isinstance(out, str) and not _special(out)


def is_standard(out: str | int) -> bool:
    """Tells whether an output is standard output, by one of its names."""
    return _descriptor(out) == 1


def _descriptor(out: str | int) -> str | int:
    """Returns the number of a descriptor that is named in place of a path; else what it was.

    Opened by its name a regular file would be another one, to be replaced or to be begun anew.

    >>> _descriptor("-"), _descriptor("/dev/stdout"), _descriptor("/dev/fd/9"), _descriptor("1")
    (1, 1, 9, '1')
    """
    if isinstance(out, int):
        return out
    named = _DESCRIPTOR.fullmatch(out)
    return int(named[1]) if named else _STREAMS.get(out, out)


def _special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib is slow
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise SourceError("is a directory").about(path)
    return not stat.S_ISREG(mode)


class AtomicFile:
    """A file that takes its name when it is complete and synced.

    `with AtomicFile(path) as fd:` gives the descriptor to write to. On success the data, the
    name and the directory are on disk; on an error nothing is left. A kill leaves the old file
    (or none) under the name. The unfinished file has no name where the file system can do that
    (O_TMPFILE), and is ".NAME.PID.part" beside it elsewhere.
    """

    def __init__(self, path: str) -> None:
        self._name = path
        self.path = os.path.realpath(path)
        self._directory, name = os.path.split(self.path)
        self._temporary = f"{self._directory}/.{name}.{os.getpid()}.part"
        self._named = False
        self._fd = -1

    def __enter__(self) -> int:
        refuse_input(self.path)
        try:
            self._fd = self._open()
        except OSError as error:
            raise SourceError(str(error.strerror)).about(self._name) from error
        return self._fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            os.close(self._fd)
            if self._named:
                os.unlink(self._temporary)  # noqa: PTH108 - pathlib is slow

    def _open(self) -> int:
        mode = self._mode()
        try:
            # A file without a name gets one by way of /proc, which a bare chroot may lack.
            if os.path.isdir(_PROC_FDS):  # noqa: PTH112
                return os.open(self._directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(self._temporary, flags, mode)
        self._named = True
        return fd

    def _publish(self) -> None:
        self._keep_owner()
        os.fsync(self._fd)
        directory, sync = self._open_directory()
        try:
            if not self._named:
                # link() cannot replace a file: take a name beside it, then rename over it. With
                # a directory's descriptor Python calls linkat(), which follows the link in /proc.
                os.link(f"{_PROC_FDS}/{self._fd}", self._temporary, src_dir_fd=directory)
                self._named = True
            os.rename(self._temporary, self.path)  # noqa: PTH104
            self._named = False
            sync()
        finally:
            os.close(directory)

    def _open_directory(self) -> tuple[int, Callable[[], None]]:
        """Returns the directory's descriptor, and what puts its names on disk."""
        flags = os.O_DIRECTORY | os.O_CLOEXEC
        try:
            fd = os.open(self._directory, os.O_RDONLY | flags)
        except PermissionError:
            # One that may be written and not read: no descriptor of it can be synced alone.
            return os.open(self._directory, os.O_PATH | flags), os.sync
        return fd, partial(os.fsync, fd)

    def _keep_owner(self) -> None:
        """Gives the file the owner of the one that it replaces, where that is allowed."""
        with suppress(FileNotFoundError, PermissionError):
            old, own = os.stat(self.path), os.fstat(self._fd)  # noqa: PTH116
            if (old.st_uid, old.st_gid) != (own.st_uid, own.st_gid):
                os.fchown(self._fd, old.st_uid, old.st_gid)

    def _mode(self) -> int:
        """Keeps the permissions of the file that is replaced; an image holds a guest's memory."""
        try:
            return os.stat(self.path).st_mode & 0o777  # noqa: PTH116
        except FileNotFoundError:
            return 0o600
