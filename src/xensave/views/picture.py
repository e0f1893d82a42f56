"""Pictures on disk: whole or not at all, and the same bytes for the same facts."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from xensave.errors import MissingExtra, UsageError
from xensave.source.base import write_all
from xensave.source.output import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
_DPI = 150


def picture_path(path: str | os.PathLike[str], formats: tuple[str, ...] = FORMATS) -> str:
    """Returns the path of a picture that can be drawn.

    Raises UsageError for another ending than those of `formats`, MissingExtra where matplotlib is
    not installed.
    """
    target = os.fspath(path)
    if not target.lower().endswith(formats):
        raise UsageError(f"a picture ends in {', '.join(formats)}").about(target)
    try:
        import matplotlib.figure  # noqa: F401 - its parts may be loaded where it cannot be
    except ImportError as error:
        raise MissingExtra("drawing", "matplotlib", "plot") from error
    return target


def save(figure: Figure, path: str) -> None:
    """Writes a figure to a file whose ending names the format (svg, png, pdf).

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
            figure.savefig(drawn, format=kind, dpi=_DPI, metadata=metadata, bbox_inches="tight")
        except ValueError as error:
            raise UsageError(str(error)).about(path) from error
    with writing(path) as output:
        write_all(output.fd, drawn.getbuffer())
