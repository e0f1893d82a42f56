"""What the frame around a stream says of its guest, whichever format it is of."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.formats import format_named
from xensave.container.frames.config import Config
from xensave.image.tally import Tally


def config_of(found: Tally) -> Config:
    """Return libxl's configuration of the guest, as xl's header has it; an empty one elsewhere."""
    return Config.parse(found.config) if _plain(found) else Config()


def described_by(found: Tally) -> Config:
    """Return what the frame says of the guest, in the shape of libxl's configuration."""
    described = found.description
    if described is None or _plain(found):
        return Config.parse(found.config)
    return Config(described.text, described.config, described.wrong)


def _plain(found: Tally) -> bool:
    described = found.description
    return described is None or not (described.config or described.wrong)


def details_of(found: Tally) -> Iterator[tuple[str, str]]:
    """Yield labels and texts of what a frame says beyond the configuration."""
    if found.description is not None:
        yield from found.description.details
    for (layer, type_), records in found.kept.items():
        for record in records:
            detail = format_named(layer).detail(type_, record.body, record.length)
            if detail is not None:
                yield detail
