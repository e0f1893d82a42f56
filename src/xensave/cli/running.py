"""How commands that look into memory open what is named: a running guest with its memory."""

from __future__ import annotations

from xensave.image import Image, open_image
from xensave.source import Input


def open_with_memory(
    what: Input, *, max_size: int | None = None, format: str | None = None
) -> Image:
    """Opens an image; of a guest that runs also the memory, for which it is paused meanwhile.

    Raises SourceError where there is nothing to read, Unsupported for a PV guest that runs.
    """
    from xensave.live import is_domain

    if not is_domain(what):
        return open_image(what, max_size=max_size, format=format)
    from xensave.live.memory import open_domain_memory

    return open_image(what, source=open_domain_memory(str(what)))
