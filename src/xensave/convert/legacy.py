"""What Xen's convert-legacy-stream does: a legacy stream becomes one of version 3."""

from __future__ import annotations

from collections.abc import Callable

from xensave.container.events import HEADER_KIND, LEGACY, Event
from xensave.container.frames import xl
from xensave.container.streams.legacy import LEGACY_FORMAT
from xensave.errors import Malformed
from xensave.source import Source
from xensave.source.base import write_all


def convert_legacy_stream(
    source: Source,
    out_fd: int,
    *,
    width: int | None = None,
    pv: bool | None = None,
    libxl: bool = False,
    device_model: bool = True,
    xl_header: bool = False,
    each: Callable[[Event], None] | None = None,
) -> None:
    """Writes what Xen's converter writes of a legacy stream, byte for byte.

    `width` is the bytes of the toolstack's `unsigned long` (8 or 4), `pv` the guest's kind; the
    first words tell what is not given. With `libxl` the result is a libxl stream, else libxc's,
    behind which the device model's state stays as it was (without `device_model` it is left
    out). `xl_header` says that a header of xl's comes first. `each` sees every record before it
    is written.

    Raises Malformed, Truncated, Unsupported and LimitExceeded.
    """
    if xl_header:
        _pass_header(source, out_fd, libxl=libxl)
    header = LEGACY_FORMAT.header(source, width, pv)
    whole = libxl or device_model
    for event in LEGACY_FORMAT.walk(source, header, nested=libxl, device_model=whole):
        if each is not None:
            each(event)
        if event.layer != LEGACY or event.kind != HEADER_KIND:
            event.copy_to(out_fd)


def _pass_header(source: Source, out_fd: int, *, libxl: bool) -> None:
    """Writes xl's header, with the flag of a libxl stream where one follows."""
    event = next(xl.XL_FORMAT.walk(source))
    header = event.header
    assert isinstance(header, xl.XlHeader)
    if header.stream_v2:
        raise Malformed("no legacy stream follows: mandatory flag 1 is set", record=event.label)
    flags = header.mandatory_flags | (xl.FLAG_STREAM_V2 if libxl else 0)
    body = bytes(event.body())
    write_all(out_fd, memoryview(header._replace(mandatory_flags=flags).to_bytes() + body))
    event.finish()
