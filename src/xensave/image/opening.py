"""Open what a person names: a running guest, or what `xensave.source` opens."""

from __future__ import annotations

from xensave.container.probe import HEAD_SIZE, probe
from xensave.errors import UsageError, XensaveError
from xensave.live import is_domain
from xensave.source import Input, Source, open_source


def open_input(
    what: Input, *, max_size: int | None = None, format: str | None = None, memory: bool = False
) -> Source:
    """Opens an input. `domain:NAME` and `domain:ID` are guests that run on this host.

    With `memory` such a guest is paused, and its memory is read too. Raises SourceError where
    there is nothing to read; Unsupported for a PV guest that runs, of which only memory is read.
    """
    if is_domain(what):
        if memory:
            from xensave.live.memory import open_domain_memory

            return open_domain_memory(str(what))
        from xensave.live.opening import open_domain

        return open_domain(str(what))
    return open_source(what, max_size=max_size, format=format)


def spilled_image(source: Source, format: str | None = None) -> Source:
    """Returns an image's bytes as a seekable source, from a file without a name where need be.

    Raises what `probe` raises for what is no image: it may have no end. A format needs no probe.
    """
    from xensave.source.spill import seekable

    try:
        if format is None and not source.seekable:
            probe(bytes(source.peek(HEAD_SIZE)))
    except XensaveError as error:
        source.name_in(error)
        source.close()
        raise
    return seekable(source)


class OpenInput:
    """An open input that is read from its start more than once: a pipe, once only.

    `source` is the input; `format` names its container format, None where its first bytes tell.
    """

    def __init__(self, source: Source, format: str | None = None) -> None:
        self.source = source
        self._format = format
        self._read = self._closed = False

    def again(self) -> Source:
        """Returns the input from the start, for one reading of it.

        Raises UsageError for a pipe that was read already, and after `close`.
        """
        name = self.source.name
        if self._closed:
            raise UsageError("is closed").about(name)
        source = self.source.again() if self._read else self.source
        if source is None:
            raise UsageError("a pipe can be read once only").about(name)
        self._read = True
        source.format = self._format
        return source

    def spill(self) -> None:
        """Puts what is read forward only into a file without a name, and reads that from here on.

        Raises what `again` raises, and what `probe` raises for what is no image: it may have no
        end.
        """
        if not self.source.seekable:
            spilled = spilled_image(self.again(), self._format)
            self.source.close()
            self.source = spilled

    def close(self) -> None:
        """Closes the input."""
        self._closed = True
        self.source.close()
