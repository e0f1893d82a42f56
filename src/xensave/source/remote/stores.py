"""Stores behind addresses: each knows how to list, how to read a range, and what holds it still.

fsspec reaches them; credentials and endpoints are what it takes from its own configuration and
environment. What a store can do beyond fsspec's common words is in the file of its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple, cast

from xensave.errors import MissingExtra, SourceError, UsageError
from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.store import Store


class Scheme(NamedTuple):
    """How a scheme is reached: the extra and the package that it takes, and the class here."""

    extra: str
    package: str
    module: str
    name: str


S3 = Scheme("s3", "s3fs", "s3", "S3Store")
GS = Scheme("gs", "gcsfs", "gs", "GsStore")
HTTP = Scheme("http", "aiohttp", "http", "HttpStore")
SFTP = Scheme("sftp", "paramiko", "sftp", "SftpStore")

SCHEMES = {
    "s3": S3, "s3a": S3, "gs": GS, "gcs": GS,
    "http": HTTP, "https": HTTP, "sftp": SFTP, "ssh": SFTP,
}  # fmt: skip
"""Other schemes of fsspec are read by its common words."""


def store_of(address: str) -> Store:
    """Returns the store that an address is in.

    Raises UsageError for an unknown scheme or one whose packages are not installed, and
    SourceError where the store cannot be reached.
    """
    scheme = address.partition("://")[0]
    try:
        known = SCHEMES.get(scheme)
        if known is None:
            return Store(address)
        made: type[Store] = getattr(import_module(f"{__package__}.{known.module}"), known.name)
        return made(address)
    except ImportError as error:
        raise _missing(scheme, error) from error


def is_pattern(address: str) -> bool:
    """Tells whether the path of an address has wild cards that its store knows."""
    return store_of(address).is_pattern(address)


def expand(address: str) -> Iterator[StoreObject]:
    """Yields the objects that an address names: itself, or all that its wild cards match.

    Raises SourceError where there is none, or the store cannot be reached.
    """
    store = store_of(address)
    if not store.is_pattern(address):
        yield store.entry(address)
        return
    matched = False
    for each in store.matches(address):
        matched = True
        yield each
    if not matched:
        raise SourceError("nothing matches").about(address)


def _missing(scheme: str, error: ImportError) -> UsageError:
    # fsspec's own error says no name; the import that failed is what caused it.
    name = error.name or cast("str | None", getattr(error.__cause__, "name", None))
    if name is not None and name.startswith("fsspec"):
        name = "fsspec"
    known = SCHEMES.get(scheme)
    if known is not None:
        return MissingExtra(f"reading {scheme}://", name or known.package, known.extra)
    if name == "fsspec":
        return MissingExtra(f"reading {scheme}://", name, "fleet")
    return UsageError(f"reading {scheme}:// needs {name or 'a package'}, which is not installed")
