"""Bytes that come once: a pipe, a socket, a decompressor. Memory is bounded, whatever comes."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from xensave.errors import SourceError
from xensave.source.base import Source, warn_unclosed, write_all, write_sparsely
from xensave.source.kernel import is_pipe, splice, widen_pipe
from xensave.source.limits import BLOCK, CHUNK, READ_LIMIT

Pull = Callable[[int], bytes]
"""Gives up to n of the next bytes, at least one; none at the end."""


class StreamSource(Source):
    """A source over a function that gives the next bytes.

    `pipe` is the descriptor that the function reads, where it is a pipe: its bytes are then
    passed over and on by splice, without coming into this process. `again` makes the source
    anew, where what lies beneath can be read twice. With `holes`, blocks of zeros that are copied
    on become holes of the file that they are copied to.
    """

    seekable = False

    def __init__(
        self,
        pull: Pull,
        name: str,
        *,
        pipe: int | None = None,
        owned: int | None = None,
        beneath: Source | None = None,
        again: Callable[[], Source | None] | None = None,
        max_size: int | None = None,
    ) -> None:
        self._pull = pull
        self._chunk = memoryview(b"")
        self._pipe = pipe
        self._owned = owned
        self.beneath = beneath
        self._null: int | None = None
        self._restart = again
        self.holes = False
        self.name = name
        self.offset = 0
        self.size: int | None = None
        self.max_size = max_size

    def read(self, n: int) -> memoryview:
        """Returns the next n bytes; memory grows with what comes, not with what is asked."""
        if n > READ_LIMIT or self.max_size is not None:
            self._check(n)
        if n > len(self._chunk):
            return self._gather(n)
        return self._take(n)

    def read_some(self, n: int) -> bytes:
        """Returns up to n of the next bytes, as they come; none at the end."""
        if not self._chunk:
            self._chunk = memoryview(self._pull(CHUNK))
        return bytes(self._take(min(n, len(self._chunk))))

    def peek(self, n: int) -> memoryview:
        """Returns up to n (at most CHUNK) of the next bytes without passing them."""
        while len(self._chunk) < n:
            more = self._pull(CHUNK)
            if not more:
                break
            self._chunk = memoryview(bytes(self._chunk) + more)
        return self._chunk[:n]

    def skip(self, n: int) -> None:
        """Passes over n bytes: by splice to /dev/null from a pipe, else by reading them."""
        if self.max_size is not None:
            self._check(n, None)
        if n <= len(self._chunk):
            self._take(n)
            return
        left = n - len(self._drop())
        if self._pipe is not None:
            left = self._advance(left, splice(self._pipe, self._devnull(), left))
        while left:
            left -= len(self._next(n, left))

    def copy_to(self, out_fd: int, n: int) -> None:
        """Writes the next n bytes: by splice from a pipe, else through a bounded buffer."""
        if self.max_size is not None:
            self._check(n, None)
        put = write_sparsely if self.holes else write_all
        if n <= len(self._chunk):
            put(out_fd, self._take(n))
            return
        left = n - len(self._chunk)
        put(out_fd, self._drop())
        if self._pipe is not None:
            left = self._advance(left, splice(self._pipe, out_fd, left))
        while left:
            part = self._next(n, left)
            put(out_fd, part)
            left -= len(part)

    def again(self) -> Source | None:
        """Returns the same bytes from the start, where what lies beneath can give them again."""
        return None if self._restart is None else self._restart()

    def close(self) -> None:
        """Closes what this source opened."""
        for fd in (self._owned, self._null):
            if fd is not None:
                os.close(fd)
        self._owned = self._null = None
        self.file = None
        if self.beneath is not None:
            self.beneath.close()

    def __del__(self) -> None:
        if getattr(self, "_owned", None) is not None:
            # Closed first: a warning may be an error.
            self.close()
            warn_unclosed(self)

    def _take(self, n: int) -> memoryview:
        part = self._chunk[:n]
        self._chunk = self._chunk[n:]
        self.offset += n
        return part

    def _drop(self) -> memoryview:
        return self._take(len(self._chunk))

    def _advance(self, before: int, after: int) -> int:
        self.offset += before - after
        return after

    def _next(self, wanted: int, left: int) -> memoryview:
        """Returns up to `left` of the next bytes; Truncated if none of them is there."""
        if left < CHUNK:
            self._chunk = memoryview(self._pull(CHUNK))
            part = self._take(min(left, len(self._chunk)))
        else:
            part = memoryview(self._pull(min(left, BLOCK)))
            self.offset += len(part)
        if len(part) > left:
            self.offset -= len(part) - left
            self._chunk = part[left:]
            part = part[:left]
        if not part:
            raise self._short(wanted, wanted - left, self.offset - (wanted - left))
        return part

    def _gather(self, n: int) -> memoryview:
        whole = bytearray(self._drop())
        while len(whole) < n:
            whole += self._next(n, n - len(whole))
        return memoryview(whole)

    def _devnull(self) -> int:
        if self._null is None:
            self._null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        return self._null


def descriptor_source(
    fd: int, name: str, *, owned: bool, max_size: int | None = None
) -> StreamSource:
    """Returns a source over a pipe, socket or device."""
    pipe = fd if is_pipe(fd) else None
    if pipe is not None:
        widen_pipe(fd)
    return StreamSource(
        lambda n: read_fd(fd, n, name),
        name,
        pipe=pipe,
        owned=fd if owned else None,
        max_size=max_size,
    )


def read_fd(fd: int, n: int, name: str) -> bytes:
    """Reads up to n bytes; waits where the descriptor was set not to.

    Raises SourceError, which names the input, where it cannot be read.
    """
    while True:
        try:
            return os.read(fd, n)
        except BlockingIOError:
            select.select([fd], [], [])
        except OSError as error:
            raise SourceError(str(error.strerror)).about(name) from error
