"""A guest paused for a while, by a process that resumes it even if this one is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from xensave.errors import SourceError, XensaveError
from xensave.live.domain import AbsentDomain, RunningDomain
from xensave.live.libraries import XenCall

_PAUSED = b"p"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def paused(number: int) -> Iterator[None]:
    """Pauses a domain for a `with` block.

    A child process pauses it, and resumes it when this process closes its end of a pipe: at the
    end of the block, or when the kernel does it for a process that was killed. Xen counts pauses,
    so a guest that was paused before stays so.

    Raises SourceError where the domain cannot be paused, or was not resumed.
    """
    ready_read, ready_write = os.pipe()
    alive_read, alive_write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(ready_read)
            os.close(alive_write)
            code = _hold(number, ready_write, alive_read)
        finally:
            # Whatever happened, a copy of this process must not go on with its work.
            os._exit(code)
    os.close(ready_write)
    os.close(alive_read)
    resumed = 1
    try:
        answer = os.read(ready_read, 1 << 12)
        if answer != _PAUSED:
            raise SourceError(answer.decode() or f"domain {number} cannot be paused")
        yield
    finally:
        os.close(alive_write)
        _, resumed = os.waitpid(child, 0)
        why = os.read(ready_read, 1 << 12).decode()
        os.close(ready_read)
    if resumed:
        what = f"domain {number} was paused and could not be resumed: xl unpause it"
        raise SourceError(f"{what} ({why})" if why else what)


def _hold(number: int, ready: int, alive: int) -> int:
    """Pauses a domain, waits until nobody writes to `alive`, resumes it; returns an exit code."""
    # What ends the parent must not end its child before the guest runs again.
    os.setsid()
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    try:
        with closing(XenCall()) as library:
            domain = RunningDomain(library, number)
            domain.pause()
            try:
                os.write(ready, _PAUSED)
                os.read(alive, 1)
            finally:
                # Of a domain that is gone there is nothing to resume.
                with suppress(AbsentDomain):
                    domain.unpause()
    except XensaveError as error:
        os.write(ready, str(error).encode())
        return 1
    except OSError:
        return 1
    return 0
