"""Where the result goes: a descriptor, or a file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType

from xensave.container.events import Event
from xensave.errors import SourceError
from xensave.source import Source
from xensave.source.base import write_all
from xensave.source.memory import MappedSource

RUN_LIMIT = 1 << 30
"""Unchanged bytes of a file are copied in runs of at most this many."""


class Writer:
    """Writes events and bytes to a descriptor; neighbouring unchanged events of a file in one go.

    From a forward-only source each event is written as it is reached: a receiver that waits for
    a record is not kept waiting for the next one. `fresh` says that the descriptor is a new
    file's: holes of the input are holes of the output then, as `cp` makes them.
    """

    __slots__ = ("_end", "_fd", "_runs", "_source", "_start")

    def __init__(self, source: Source, fd: int, *, fresh: bool = False) -> None:
        self._source = source
        self._fd = fd
        self._runs = source.data_runs if fresh and isinstance(source, MappedSource) else None
        self._start = self._end = 0

    def keep(self, event: Event) -> None:
        """Write an event as it is."""
        if not self._source.seekable:
            event.copy_to(self._fd)
            return
        if self._end != event.offset or self._end - self._start > RUN_LIMIT:
            self.flush()
            self._start = event.offset
        self._end = event.end

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self.flush()
        write_all(self._fd, memoryview(data))

    def flush(self) -> None:
        """Write the unchanged bytes that wait."""
        if self._end > self._start:
            self._copy(self._start, self._end - self._start)
        self._start = self._end = 0

    def close(self) -> None:
        """Write what waits, and give a fresh file its size even if it ends in a hole."""
        self.flush()
        if self._runs is not None:
            os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR))

    def _copy(self, offset: int, n: int) -> None:
        source, place = self._source, self._source.offset
        runs = [(offset, n)] if self._runs is None else self._runs(offset, n)
        at = offset
        try:
            for start, length in runs:
                if start > at:
                    os.lseek(self._fd, start - at, os.SEEK_CUR)
                source.offset = start
                source.copy_to(self._fd, length)
                at = start + length
        finally:
            source.offset = place
        if at < offset + n:
            os.lseek(self._fd, offset + n - at, os.SEEK_CUR)


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
            return os.open(self._directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(self._temporary, flags, mode)
        self._named = True
        return fd

    def _publish(self) -> None:
        os.fsync(self._fd)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not self._named:
                # link() cannot replace a file: take a name beside it, then rename over it. With
                # a directory's descriptor Python calls linkat(), which follows the link in /proc.
                os.link(f"/proc/self/fd/{self._fd}", self._temporary, src_dir_fd=directory)
                self._named = True
            self._temporary.rename(self.path)
            self._named = False
            os.fsync(directory)
        finally:
            os.close(directory)

    def _mode(self) -> int:
        """Keep the permissions of the file that is replaced; an image holds a guest's memory."""
        try:
            return self.path.stat().st_mode & 0o777
        except FileNotFoundError:
            return 0o600
