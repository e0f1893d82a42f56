"""What the frame around a stream says of its guest, whichever format it is of."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.config import Config
from xensave.container.formats import format_named
from xensave.image.tally import Tally


def config_of(found: Tally) -> Config:
    """Return the guest's configuration: libxl's own, or what another frame has, in its shape."""
    described = found.description
    if described is None or not (described.config or described.wrong):
        return Config.parse(found.config)
    return Config(described.text, described.config, described.wrong)


def details_of(found: Tally) -> Iterator[tuple[str, str]]:
    """Yield labels and texts of what a frame says beyond the configuration."""
    if found.description is not None:
        yield from found.description.details
    for (layer, type_), records in found.kept.items():
        for record in records:
            detail = format_named(layer).detail(type_, record.body, record.length)
            if detail is not None:
                yield detail
