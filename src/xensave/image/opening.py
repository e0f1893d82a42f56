"""Open what a person names: a running guest, or what `xensave.source` opens."""

from __future__ import annotations

from xensave.source import Input, Source, open_source

_LIVE = "domain:"


def open_input(what: Input, *, max_size: int | None = None, format: str | None = None) -> Source:
    """Open an input. `domain:NAME` and `domain:ID` are guests that run on this host.

    Raises SourceError where there is nothing to read.
    """
    if isinstance(what, str) and what.startswith(_LIVE):
        from xensave.live import open_domain

        return open_domain(what)
    return open_source(what, max_size=max_size, format=format)
