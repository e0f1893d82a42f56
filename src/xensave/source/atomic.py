"""A file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from xensave.errors import SourceError

_DESCRIPTORS = "/proc/self/fd"


class AtomicFile:
    """A file that takes its name when it is complete and synced.

    `with AtomicFile(path) as fd:` gives the descriptor to write to. On success the data, the
    name and the directory are on disk; on an error nothing is left. A kill leaves the old file
    (or none) under the name. The unfinished file has no name where the file system can do that
    (O_TMPFILE), and is ".NAME.PID.part" beside it elsewhere.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).resolve()
        self._directory = self.path.parent
        self._temporary = self._directory / f".{self.path.name}.{os.getpid()}.part"
        self._named = False
        self._fd = -1

    def __enter__(self) -> int:
        try:
            self._fd = self._open()
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror}") from error
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
                self._temporary.unlink()

    def _open(self) -> int:
        mode = self._mode()
        try:
            # A file without a name gets one by way of /proc, which a bare chroot may lack.
            if Path(_DESCRIPTORS).is_dir():
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
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not self._named:
                # link() cannot replace a file: take a name beside it, then rename over it. With
                # a directory's descriptor Python calls linkat(), which follows the link in /proc.
                os.link(f"{_DESCRIPTORS}/{self._fd}", self._temporary, src_dir_fd=directory)
                self._named = True
            self._temporary.rename(self.path)
            self._named = False
            os.fsync(directory)
        finally:
            os.close(directory)

    def _keep_owner(self) -> None:
        """Gives the file the owner of the one that it replaces, where that is allowed."""
        with suppress(FileNotFoundError, PermissionError):
            old, own = self.path.stat(), os.fstat(self._fd)
            if (old.st_uid, old.st_gid) != (own.st_uid, own.st_gid):
                os.fchown(self._fd, old.st_uid, old.st_gid)

    def _mode(self) -> int:
        """Keeps the permissions of the file that is replaced; an image holds a guest's memory."""
        try:
            return self.path.stat().st_mode & 0o777
        except FileNotFoundError:
            return 0o600
