"""Record layouts in other tools' languages: C, dissect.cstruct, Kaitai Struct, ImHex, a page.

Every one is made from `parts`: members in order with all padding written out, so that a tool which
knows no alignment reads the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from xensave.views.layouts.parts import Described

FORMATS = ("c", "cstruct", "kaitai", "imhex", "markdown")


def render(form: str, records: Sequence[Described], release: str) -> str:
    """Returns the records in the language of `form`."""
    module = import_module(f"xensave.views.layouts.{form}")
    function: Callable[[Sequence[Described], str], str] = module.render
    return function(records, release)
