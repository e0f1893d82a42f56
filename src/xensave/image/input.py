"""What `xensave check` is given: images, bare contexts, and directories and tars of either."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from xensave.container.hvm import HVM_FORMAT
from xensave.container.walk import format_of
from xensave.errors import LimitExceeded, Malformed, SourceError, Unsupported, XensaveError
from xensave.image import Image, open_image
from xensave.source import Source, open_source

CONTEXT_LIMIT = 64 << 20
_SUFFIXES = (".bin", ".ctx")
_TAR_MAGIC_AT = 257
_TAR_MAGIC = b"ustar"
_TAR_HEAD = 512


class Given(NamedTuple):
    """One thing to judge: a context's bytes, or an image; `member` is its name in an archive."""

    source: str
    member: str | None
    context: bytes | None
    image: Image | None


def given(path: str, *, max_size: int | None = None, format: str | None = None) -> Iterator[Given]:
    """Yield what an input holds. Raises SourceError and LimitExceeded.

    A file that is no image is taken as a bare context, however damaged: that is for the
    hypervisor to judge. In a directory the files *.bin and *.ctx count, in a tar every file.
    `format` names the container format of a file.
    """
    if path != "-" and os.path.isdir(path):  # noqa: PTH112 - pathlib is slow
        yield from _directory(path)
        return
    if path != "-" and os.path.isfile(path) and not os.path.getsize(path):  # noqa: PTH113, PTH202
        yield Given(path, None, b"", None)
        return
    source = open_source(path, max_size=max_size, format=format)
    head = bytes(source.peek(_TAR_HEAD))
    if not format and head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)] == _TAR_MAGIC:
        with source:
            yield from _tar(path, source)
    elif _is_image(source):
        yield from _image(path, source, max_size)
    else:
        with source:
            yield Given(path, None, _rest(source), None)


def _is_image(source: Source) -> bool:
    try:
        return format_of(source) is not HVM_FORMAT
    except Unsupported:
        # A known format that is not read: opening it again says which.
        return True
    except Malformed:
        return False


def _image(path: str, source: Source, max_size: int | None) -> Iterator[Given]:
    if path == "-":
        with open_image(_Stream(source), max_size=max_size, format=source.format) as image:
            yield Given(path, None, None, image)
        return
    source.close()
    with open_image(path, max_size=max_size, format=source.format) as image:
        yield Given(path, None, None, image)


def _directory(path: str) -> Iterator[Given]:
    found = []
    for parent, _, names in os.walk(path):
        found += [f"{parent}/{name}" for name in names if name.endswith(_SUFFIXES)]
    if not found:
        raise SourceError(f"{path}: holds no {' or '.join('*' + suffix for suffix in _SUFFIXES)}")
    for name in sorted(found):
        try:
            with open(name, "rb") as file:
                data = file.read(CONTEXT_LIMIT + 1)
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror}") from error
        member = name[len(path) :].lstrip("/")
        yield _member(path, member, data)


def _tar(path: str, source: Source) -> Iterator[Given]:
    import tarfile

    try:
        with tarfile.open(fileobj=_Stream(source), mode="r|") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield _member(path, member.name, file.read(CONTEXT_LIMIT + 1))
    except tarfile.TarError as error:
        raise SourceError(f"{path}: {error}") from error


def _member(path: str, member: str, data: bytes) -> Given:
    name = f"{path}/{member}"
    if len(data) > CONTEXT_LIMIT:
        raise LimitExceeded(f"{name}: takes more than {CONTEXT_LIMIT} bytes")
    if not data:
        return Given(name, member, data, None)
    with open_source(data) as source:
        try:
            if _is_image(source):
                return Given(name, member, None, open_image(data))
            return Given(name, member, _rest(source), None)
        except LimitExceeded:
            raise
        except XensaveError:
            # It began as compressed data does, and is none: a damaged context.
            return Given(name, member, data, None)


def _rest(source: Source) -> bytes:
    parts = []
    size = 0
    while chunk := bytes(source.read(min(1 << 20, len(source.peek(1 << 20))))):
        parts.append(chunk)
        size += len(chunk)
        if size > CONTEXT_LIMIT:
            raise LimitExceeded(f"{source.name}: no image, and too long for a context")
    return b"".join(parts)


class _Stream(io.RawIOBase):
    """A source as a file object that tarfile and open_image read forward."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        wanted = sys.maxsize if size < 0 else size
        return bytes(self._source.read(min(wanted, len(self._source.peek(min(wanted, 1 << 20))))))
