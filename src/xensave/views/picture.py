"""Pictures on disk: whole or not at all, and the same bytes for the same facts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from xensave.errors import UsageError
from xensave.source.base import write_all
from xensave.source.output import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150


def save(figure: Figure, path: str) -> None:
    """Write a figure to a file whose ending names the format (svg, png, pdf).

    Raises UsageError for a format that matplotlib does not know, OSError where the file cannot be
    written.
    """
    import matplotlib as mpl

    kind = path.rpartition(".")[2].lower()
    drawn = io.BytesIO()
    # Without a date and with fixed ids the same facts give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "xensave", "svg.fonttype": "none"}):
        metadata = {"Date": None} if kind == "svg" else None
        try:
            figure.savefig(drawn, format=kind, dpi=_DPI, metadata=metadata)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
    with writing(path) as output:
        write_all(output.fd, drawn.getbuffer())
