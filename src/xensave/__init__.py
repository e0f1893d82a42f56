"""xensave reads, verifies, explains and converts what Xen saves.

The public names are imported when first used, so that `import xensave` stays cheap:

>>> import xensave
>>> xensave.__version__
'0.2.0'
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xensave.context import Context as Context
    from xensave.errors import XensaveError as XensaveError
    from xensave.findings import Finding as Finding
    from xensave.image import Image as Image
    from xensave.image import open_image as open

__version__ = "0.2.0"
__all__ = ["Context", "Finding", "Image", "XensaveError", "__version__", "open"]

_HOMES = {
    "Context": ("xensave.context", "Context"),
    "Finding": ("xensave.findings", "Finding"),
    "Image": ("xensave.image", "Image"),
    "XensaveError": ("xensave.errors", "XensaveError"),
    "open": ("xensave.image", "open_image"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'xensave' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
