"""The formats that are read, in the order in which an input's first bytes are asked."""

from xensave.container.format import Format
from xensave.container.frames.libvirt import LIBVIRT_FORMAT
from xensave.container.frames.xend import XEND_FORMAT
from xensave.container.frames.xenopsd import XENOPSD_FORMAT
from xensave.container.frames.xl import XL_FORMAT
from xensave.container.streams.hvm import HVM_FORMAT
from xensave.container.streams.legacy import LEGACY_FORMAT
from xensave.container.streams.libxc import LIBXC_FORMAT
from xensave.container.streams.libxl import LIBXL_FORMAT
from xensave.errors import UsageError

FORMATS: tuple[Format, ...] = (
    XL_FORMAT,
    LIBXL_FORMAT,
    LIBXC_FORMAT,
    HVM_FORMAT,
    LIBVIRT_FORMAT,
    XENOPSD_FORMAT,
    XEND_FORMAT,
    LEGACY_FORMAT,
)


def format_named(name: str) -> Format:
    """Return the format of a name. Raises UsageError for a name that none has.

    >>> format_named("libxc").title
    'a libxc stream'
    """
    for each in FORMATS:
        if each.name == name:
            return each
    raise UsageError(f"no format is called {name!r}; there are {', '.join(format_names())}")


def format_names() -> list[str]:
    """Return the names of the formats.

    >>> format_names()[:2]
    ['xl', 'libxl']
    """
    return [each.name for each in FORMATS]
