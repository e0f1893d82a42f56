"""One module a wrapper: xl, libxl, libxc, the HVM context; `walk` goes through them all."""

from xensave.container.events import Event
from xensave.container.walk import FORMATS, walk

__all__ = ["FORMATS", "Event", "walk"]
