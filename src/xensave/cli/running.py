"""How commands that look into memory open what is named: a running guest with its memory."""

from __future__ import annotations

from xensave.image import Image, open_image
from xensave.image.opening import open_input
from xensave.live import is_domain
from xensave.source import Input


def open_with_memory(
    what: Input, *, max_size: int | None = None, format: str | None = None
) -> Image:
    """Opens an image; of a guest that runs also the memory, for which it is paused meanwhile.

    Raises SourceError where there is nothing to read.
    """
    source = open_input(what, memory=True) if is_domain(what) else None
    return open_image(what, max_size=max_size, format=format, source=source)
