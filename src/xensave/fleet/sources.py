"""What a fleet is: files, folders, patterns and addresses, expanded to images."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator

from xensave.errors import SourceError
from xensave.live import is_domain
from xensave.source.remote import is_address, local_path
from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.stores import expand, is_pattern

_WILD = frozenset("*?[")


def entries(sources: Iterable[str], without: Iterable[str] = ()) -> Iterator[StoreObject]:
    """Yields the images that sources name, in order, each address once.

    A source is a file, a folder (all files in it and below), a pattern, or an address; an
    address that ends in `/` is a folder. What a folder or pattern has beside files and block
    devices (pipes, sockets), and the files and folders `without`, are left out. A file, folder
    or object that cannot be looked at is an entry of no size: reading it will say why. Raises
    SourceError where a source names nothing.
    """
    seen: set[str] = set()
    left_out = frozenset(map(os.path.realpath, without))
    for source in sources:
        for entry in _expanded(source, left_out):
            if entry.address not in seen:
                seen.add(entry.address)
                yield entry


def _expanded(source: str, left_out: frozenset[str]) -> Iterator[StoreObject]:
    if is_address(source):
        yield from _behind(f"{source}**" if source.endswith("/") else source)
        return
    path = local_path(source)
    if os.path.isdir(path):  # noqa: PTH112 - a tree of thousands of files
        yield from _folder(path.rstrip("/") or "/", left_out)
    elif _WILD & set(path) and not os.path.lexists(path):
        names = sorted(glob.glob(path, recursive=True))  # noqa: PTH207
        if not names:
            raise SourceError(f"{source}: nothing matches")
        for name in names:
            if may_be_image(name) and not _is_within(name, left_out):
                yield _file(name)
    else:
        yield _file(path)


def _behind(address: str) -> Iterator[StoreObject]:
    matched = False
    try:
        for entry in expand(address):
            matched = True
            yield entry
    except SourceError:
        if matched or is_pattern(address):
            raise
        yield StoreObject(address, -1)


def _folder(path: str, left_out: frozenset[str]) -> Iterator[StoreObject]:
    closed: list[OSError] = []
    for parent, folders, names in os.walk(path, onerror=closed.append):
        folders.sort()
        for name in sorted(names):
            each = f"{parent}/{name}"
            if may_be_image(each) and not _is_within(each, left_out):
                yield _file(each)
    for error in closed:
        yield StoreObject(as_path(str(error.filename)), -1)


def may_be_image(path: str) -> bool:
    """Tells whether a path is a file or block device, or may be: nothing can be said of it.

    A pipe that nobody writes to, or a terminal, would be waited for without end.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return True
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def _is_within(path: str, left_out: frozenset[str]) -> bool:
    """Tells whether a path is one of those, or a file right in one of them."""
    parent, name = os.path.split(path)
    names = {os.path.basename(each) for each in left_out}  # noqa: PTH119
    if name not in names and os.path.basename(parent) not in names:  # noqa: PTH119
        return False
    folder = os.path.realpath(parent)
    return folder in left_out or os.path.join(folder, name) in left_out  # noqa: PTH118


def as_path(text: str) -> str:
    """Returns a path or address that no command takes for an option or a running guest.

    >>> as_path("-o"), as_path("domain:0"), as_path("a.img")
    ('./-o', './domain:0', 'a.img')
    """
    return f"./{text}" if text.startswith("-") or is_domain(text) else text


def _file(path: str) -> StoreObject:
    """Returns a file's entry; size -1 says that it is no file, or is not to be had."""
    path = as_path(path)
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return StoreObject(path, -1)
    if stat.S_ISREG(status.st_mode):
        return StoreObject(path, status.st_size, status.st_mtime)
    if stat.S_ISBLK(status.st_mode):
        return StoreObject(path, _device_size(path))
    return StoreObject(path, -1)


def _device_size(path: str) -> int:
    """Returns a block device's bytes. When they were changed is told by nothing."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.seek(0, os.SEEK_END)
    except OSError:
        return -1
