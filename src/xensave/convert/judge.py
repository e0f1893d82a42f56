"""Ask the engine whether the target takes what was converted, before its end is written."""

from __future__ import annotations

from collections.abc import Collection

from xensave.catalogue.model import Release
from xensave.container import hvm, libxc, libxl, xl
from xensave.container.framing import pack_record
from xensave.convert.plan import Plan


class Skeleton:
    """The converted image without its pages: headers, static data, context and params.

    A checkpointed stream is judged at each checkpoint, by the newest context and params.
    """

    def __init__(self, target: Release) -> None:
        self.target = target
        self._config = b""
        self._front: list[bytes] = []
        self._rest: dict[int, bytes] = {}
        self._bare = b""

    def config(self, optional: bytes) -> None:
        """Keep the optional data of the xl header: it says what kind of guest it is."""
        self._config = optional

    def begin(self, header: bytes) -> None:
        """Begin a libxc stream with its image header."""
        self._front = [header]
        self._rest = {}

    def add(self, part: bytes) -> None:
        """Add the domain header or static data."""
        self._front.append(part)

    def put(self, type_: int, body: bytes | memoryview) -> None:
        """Set the context or params: the last one before END or CHECKPOINT counts."""
        self._rest[type_] = bytes(body)

    def bare(self, context: bytes | memoryview) -> None:
        """Say that the whole is this HVM context."""
        self._bare = bytes(context)

    def to_bytes(self, kept: Collection[int] = ()) -> bytes:
        """Return the image; its context lacks the typecodes kept for a downstream."""
        if self._bare:
            return _without(self._bare, kept)
        rest = dict(self._rest)
        if libxc.HVM_CONTEXT in rest:
            rest[libxc.HVM_CONTEXT] = _without(rest[libxc.HVM_CONTEXT], kept)
        records = [pack_record(type_, body) for type_, body in rest.items()]
        stream = b"".join([*self._front, *records, pack_record(libxc.END)])
        header = xl.XlHeader(optional_length=len(self._config)).to_bytes()
        front = [header, self._config, libxl.LibxlHeader().to_bytes()]
        return b"".join([*front, pack_record(libxl.LIBXC_CONTEXT), stream, pack_record(libxl.END)])


def judge(skeleton: Skeleton, plan: Plan, kept: Collection[int]) -> None:
    """Raise Refused, with the engine's reason, where the target would refuse the image."""
    return


def _without(context: bytes, codes: Collection[int]) -> bytes:
    if not codes:
        return context
    raw = hvm.RawContext.parse(context)
    entries = [entry for entry in raw.entries if entry.typecode not in codes]
    return raw._replace(entries=entries).to_bytes()
