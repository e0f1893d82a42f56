"""What the words of a command name: files, directories, globs, tars, standard input.

Each command that takes images takes them alike, and goes on after what cannot be read: that is a
value among the others, for the command to tell.
"""

import io
import os
import sys
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from xensave.container.events import XL
from xensave.container.formats import format_named
from xensave.container.streams import hvm
from xensave.container.streams.hvm import HVM_FORMAT
from xensave.container.walk import format_of
from xensave.errors import LimitExceeded, Malformed, SourceError, Unsupported, XensaveError
from xensave.image.image import Image, open_image
from xensave.image.opening import open_input
from xensave.source import Input, Source, open_source
from xensave.source.base import read_all
from xensave.source.inputs import reading
from xensave.source.memory import MemorySource, NamedBytes
from xensave.source.remote import is_address

CONTEXT_LIMIT = 64 << 20
"""The most bytes of a bare context, and of a member of an archive that is held in memory."""

GLANCE_FROM = 256 << 20
"""Smaller images are walked: that takes a few milliseconds, and sees every page record."""

FileNumber = tuple[int, int]
"""A file as stat() tells it from others: its device and its number there."""

_SUFFIXES = (".bin", ".ctx")
_WILD = frozenset("*?[")
_TAR_MAGIC_AT = 257
_TAR_MAGIC = b"ustar"
_TAR_HEAD = 512
_WRONG_BYTES = 8


class Item(NamedTuple):
    """One thing to look at: an image, a stream, or what may be a bare context.

    `name` is its path, with that of its archive or directory before it; `member` what it is
    called there, None for a file that was named itself. `what` is for `open_image`, `source` the
    same, open at its start; it is closed when the next item is asked for.
    """

    name: str
    member: str | None
    what: Input
    source: Source

    def image(self, *, release: str | None = None, walk: bool = False) -> Image:
        """Returns it as an image. Errors come when that is asked for something.

        One that is large or behind an address is looked at by a glance, unless `walk` is asked.
        """
        return open_image(
            self.what,
            release=release,
            format=self.source.format,
            source=self.source,
            glance=not walk and is_glanced(self.source),
        )


def is_glanced(source: Source) -> bool:
    """Tells whether an image is looked at by a glance unless a walk is asked for."""
    return (source.size or 0) >= GLANCE_FROM or is_address(source.name)


class Unreadable(NamedTuple):
    """What a word names and could not be opened, and why."""

    name: str
    error: XensaveError


class JudgedInput(NamedTuple):
    """One thing to judge: a context's bytes, or an image; `member` is its name in an archive."""

    source: str
    member: str | None
    context: bytes | None
    image: Image | None


def expand(
    words: Iterable[str | int],
    *,
    max_size: int | None = None,
    format: str | None = None,
    memory: bool = False,
) -> Iterator[Item | Unreadable]:
    """Yields what each word names: a path, a glob, a directory, a tar, an address, "-" or a number.

    In a directory, however deep, count the regular files that begin as an image does and those
    called *.bin and *.ctx; in a tar, compressed or not, every file. `format` is the container
    format of what is named itself, where its first bytes do not tell it. With `memory` a guest
    that runs is paused, and its memory is read too.
    """
    for word in words:
        if isinstance(word, str) and is_address(word):
            yield from _behind(word, max_size, format)
            continue
        if isinstance(word, str) and word != "-":
            if os.path.isdir(word):  # noqa: PTH112 - pathlib is slow
                yield from _directory(word, max_size)
                continue
            if _is_pattern(word) and not os.path.lexists(word):
                matches = _matches(word)
                if matches:
                    yield from expand(matches, max_size=max_size, format=format, memory=memory)
                    continue
        yield from _file(word, max_size, format, memory=memory)


def inputs_among(words: Iterable[str], files: Container[FileNumber]) -> Iterator[str]:
    """Yields the paths of inputs that words name, of some files told by device and number."""
    for word in words:
        if is_address(word) or word == "-":
            continue
        if os.path.isdir(word):  # noqa: PTH112 - pathlib is slow
            for name in _below(word):
                if _number(name) in files and any(True for _ in _within(name, word, None)):
                    yield name
        elif _is_pattern(word) and not os.path.lexists(word):
            yield from inputs_among(_matches(word), files)
        elif _number(word) in files:
            yield word


def _number(path: str) -> FileNumber | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib is slow
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _matches(pattern: str) -> list[str]:
    import glob

    return sorted(filter(_at_rest, glob.glob(pattern, recursive=True)))  # noqa: PTH207


def _is_pattern(word: str) -> bool:
    """Tells whether a word has the wild cards of glob, which is imported for those that have."""
    return not _WILD.isdisjoint(word)


def judged_input(item: Item, *, walk: bool = False) -> JudgedInput:
    """Returns an item as a hypervisor sees it: an image, or the bytes of a context.

    A large image is looked at by a glance, unless `walk` is asked.

    A bare context is taken however damaged where it is called so (*.ctx, *.bin), is a member of
    an archive, or begins as one: it is for the hypervisor to judge. Raises Malformed for what is
    no image at all, Unsupported for a format that is known and not read, LimitExceeded for a
    context that is too long.
    """
    try:
        is_image = format_of(item.source) is not HVM_FORMAT
    except Unsupported:
        if item.member is None:
            raise
        is_image = True
    except Malformed:
        is_image = _nearly_xl(item)
        if not is_image and not _is_context(item):
            raise
    if is_image:
        return JudgedInput(item.name, item.member, None, item.image(walk=walk))
    return JudgedInput(item.name, item.member, read_all(item.source, CONTEXT_LIMIT), None)


def _nearly_xl(item: Item) -> bool:
    """Tells whether most of xl's magic is there: xl refuses such a file, a stranger's is none."""
    [magic] = format_named(XL).magics
    head = bytes(item.source.peek(_TAR_HEAD))[: len(magic)]
    alike = sum(byte == other for byte, other in zip(head, magic, strict=False))
    return len(magic) - alike <= _WRONG_BYTES


def _is_context(item: Item) -> bool:
    """Tells whether what is no image is a damaged context."""
    if item.member is not None or item.name.endswith(_SUFFIXES):
        return True
    head = bytes(item.source.peek(_TAR_HEAD))
    if len(head) < hvm.DESCRIPTOR.size + 4:
        return False
    typecode: int
    length: int
    typecode, _, length = hvm.DESCRIPTOR.unpack_from(head)
    magic = int.from_bytes(head[hvm.DESCRIPTOR.size : hvm.DESCRIPTOR.size + 4], "little")
    signs = (typecode == hvm.HEADER_TYPECODE, length == hvm.HEADER_SIZE, magic == hvm.HEADER_MAGIC)
    return sum(signs) > 1


def _behind(address: str, max_size: int | None, format: str | None) -> Iterator[Item | Unreadable]:
    """Yields the objects that an address names, by its wild cards or as it is."""
    names = [address]
    if _is_pattern(address):
        from xensave.source.remote.stores import expand as objects

        try:
            names = [entry.address for entry in objects(address)]
        except XensaveError as error:
            yield Unreadable(address, error)
            return
    for name in names:
        yield from _file(name, max_size, format)


def _file(
    word: str | int, max_size: int | None, format: str | None, *, memory: bool = False
) -> Iterator[Item | Unreadable]:
    try:
        source = open_input(word, max_size=max_size, format=format, memory=memory)
    except XensaveError as error:
        yield Unreadable(str(word), error)
        return
    with source:
        try:
            tar = format is None and _is_tar(source)
        except XensaveError as error:
            source.name_in(error)
            yield Unreadable(source.name, error)
            return
        if tar:
            yield from _tar(source)
        else:
            yield Item(source.name, None, _again(word, source), source)


def _at_rest(path: str) -> bool:
    """Tells whether this may be opened: a FIFO that nobody named would block for ever."""
    return os.path.isfile(path) or os.path.isdir(path) or os.path.islink(path)  # noqa: PTH112, PTH113, PTH114


def _again(word: str | int, source: Source) -> Input:
    """Returns what opens a file again, or the one reading that there is of a pipe."""
    regular = isinstance(word, str) and word != "-"
    if regular and (is_address(str(word)) or os.path.isfile(word)):  # noqa: PTH113
        return word
    return _Stream(source)


def _is_tar(source: Source) -> bool:
    head = bytes(source.peek(_TAR_HEAD))
    return head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)] == _TAR_MAGIC


def _directory(path: str, max_size: int | None) -> Iterator[Item | Unreadable]:
    empty = True
    for name in _below(path):
        for each in _within(name, path, max_size):
            empty = False
            yield each
    if empty:
        patterns = " or ".join("*" + suffix for suffix in _SUFFIXES)
        yield Unreadable(path, SourceError(f"holds no image, and no {patterns}").about(path))


def _below(path: str) -> list[str]:
    """Returns the paths of all files of a directory, however deep."""
    return sorted(
        os.path.join(parent, name)  # noqa: PTH118
        for parent, _, files in os.walk(path)
        for name in files
    )


def _within(name: str, folder: str, max_size: int | None) -> Iterator[Item | Unreadable]:
    """Yields a file of a directory if it counts; a FIFO or device there would block for ever."""
    member = os.path.relpath(name, folder)
    context = name.endswith(_SUFFIXES)
    try:
        status = os.stat(name)  # noqa: PTH116
        if not os.path.isfile(name) or not (status.st_size or context):  # noqa: PTH113
            return
        if context and status.st_size <= CONTEXT_LIMIT:
            reading(name)
            with open(name, "rb") as file:
                item = _member(name, member, file.read(CONTEXT_LIMIT), max_size)
                yield item._replace(what=name)
            return
        with open_source(name, max_size=max_size) as source:
            if context or _begins_as_image(source):
                yield Item(name, member, name, source)
    except OSError as error:
        yield Unreadable(name, SourceError(str(error.strerror)).about(name))
    except XensaveError as error:
        yield Unreadable(name, error)


def _begins_as_image(source: Source) -> bool:
    head = MemorySource(bytes(source.peek(_TAR_HEAD)))
    try:
        format_of(head)
    except Unsupported:
        return True
    except Malformed:
        return False
    return True


def _tar(source: Source) -> Iterator[Item | Unreadable]:
    import tarfile

    empty = True
    try:
        with tarfile.open(fileobj=_Stream(source), mode="r|") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                empty = False
                name = f"{source.name}/{member.name}"
                if member.size <= CONTEXT_LIMIT:
                    yield _member(name, member.name, file.read(), None)
                    continue
                with open_source(file) as inner:
                    inner.name = name
                    yield Item(name, member.name, _Stream(inner), inner)
        if empty:
            yield Unreadable(source.name, SourceError("holds no file").about(source.name))
    except (tarfile.TarError, EOFError) as error:
        yield Unreadable(source.name, SourceError(str(error or "a cut tar")).about(source.name))
    except XensaveError as error:
        source.name_in(error)
        yield Unreadable(source.name, error)


def _member(name: str, member: str, data: bytes, max_size: int | None) -> Item:
    """Returns a member that is in memory; what only begins as compressed data does is as it is."""
    source: Source = MemorySource(data, name)
    if data:
        try:
            source = open_source(data, max_size=max_size)
            source.peek(_TAR_HEAD)
        except LimitExceeded:
            raise
        except XensaveError:
            source = MemorySource(data, name)
    source.name = name
    what = NamedBytes(data)
    what.name = name
    return Item(name, member, what, source)


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
        """Returns that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Returns up to `size` bytes, none at the end."""
        wanted = sys.maxsize if size < 0 else size
        return bytes(self._source.read(min(wanted, len(self._source.peek(min(wanted, 1 << 20))))))
