"""What the tests convert: real images without their pages, and streams of every release."""

import functools
from pathlib import Path

from xensave import catalogue
from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.convert.frame import FrameConverter
from xensave.convert.settings import Settings
from xensave.source import open_source
from xensave.testing.streams import page_data

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "images"
RELEASES = catalogue.release_names()
STREAMED = [name for name in RELEASES if catalogue.release(name).stream_read]


def images():
    """Paths of the real images: the example, and the larger ones where they are."""
    found = sorted(SHARED.glob("*.img.zst")) if SHARED.is_dir() else []
    return [ROOT / "examples/hvm1.img.zst", *found]


@functools.cache
def without_pages(path):
    """The image with one page in place of its memory: valid, and small."""
    parts = []
    cut = False
    with open_source(str(path)) as source:
        for event in walk(source):
            if not event.is_record(LIBXC, libxc.PAGE_DATA):
                parts.append(event.to_bytes())
            elif not cut:
                cut = True
                parts.append(page_data((0,)))
    return b"".join(parts)


def converted(data, settings):
    """Convert bytes; return the result and the converter."""
    converter = FrameConverter(settings)
    parts = []
    for event in walk(open_source(data)):
        for part in converter.convert(event):
            parts.append(part.to_bytes() if isinstance(part, Event) else part)
    return b"".join(parts), converter


def to(data, target, source=None, **options):
    return converted(data, Settings(target, source, allow_loss=True, **options))[0]


def events(data):
    return [event.label for event in walk(open_source(data))]
