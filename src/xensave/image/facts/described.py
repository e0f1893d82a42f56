"""What the frame around a stream says of its guest, whichever format it is of."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.container.description import Config
from xensave.container.formats import format_named
from xensave.container.frames.config import parse_config
from xensave.image.tally import Tally


def config_of(tally: Tally) -> Config:
    """Returns libxl's configuration of the guest, as xl's header has it; an empty one elsewhere."""
    return parse_config(tally.config) if _plain(tally) else Config()


def described_by(tally: Tally) -> Config:
    """Returns what the frame says of the guest, in the shape of libxl's configuration."""
    described = tally.description
    if described is None or _plain(tally):
        return parse_config(tally.config)
    return Config(described.text, described.config, described.wrong)


def _plain(tally: Tally) -> bool:
    described = tally.description
    return described is None or not (described.config or described.wrong)


def details_of(tally: Tally) -> Iterator[tuple[str, str]]:
    """Yields labels and texts of what a frame says beyond the configuration."""
    if tally.description is not None:
        yield from tally.description.details
    for (layer, type_), records in tally.buffered.items():
        for record in records:
            detail = format_named(layer).detail(type_, record.body, record.length)
            if detail is not None:
                yield detail
