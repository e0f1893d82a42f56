"""One module a format: xl, libxl, libxc, the HVM context; `walk` goes through them all."""

from xensave.container.events import Event
from xensave.container.walk import walk

__all__ = ["Event", "walk"]
