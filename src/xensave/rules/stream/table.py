"""The table: which check looks at which headers and records, and every rule it may report.

Each format's own part stands in the module of its name, in a tuple CHECKS.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from xensave.container import formats
from xensave.container.events import TRAILER, LayerName
from xensave.container.format import Format
from xensave.rules.stream import whole
from xensave.rules.stream.model import Check, StreamRule


def checks() -> tuple[Check, ...]:
    """Returns the checks of every format in `formats.FORMATS`."""
    return tuple(check for each in formats.FORMATS for check in _of_format(each))


def rules() -> tuple[StreamRule, ...]:
    """Returns every rule, in the order of the table."""
    listed = [rule for check in checks() for rule in check.rules]
    return tuple(dict.fromkeys([*listed, *whole.STOPS]))


def checks_of(layer: LayerName) -> tuple[Check, ...]:
    """Returns the checks that a format's own part lists; other formats are not imported."""
    return _of_format(formats.format_named(layer))


@cache
def _of_format(known: Format) -> tuple[Check, ...]:
    own: tuple[Check, ...] = import_module(f"xensave.rules.stream.formats.{known.name}").CHECKS
    if not known.trailer:
        return own
    return (*own, Check(known.name, (), whole.trailer, (whole.TRAILER, whole.CONTROL), TRAILER))
