"""SFTP: hosts as ~/.ssh has them, ranges held to the file's size and time of change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from xensave.errors import SourceError
from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.patience import SILENCE, Changed, Denied
from xensave.source.remote.store import FileSystem, Store


class _Reject(paramiko.MissingHostKeyPolicy):
    """What paramiko's own policy of this name does, with an error of a class of its own."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: object) -> None:
        raise Denied(f"Server {hostname!r} not found in known_hosts")


_POLICIES: dict[str, type[paramiko.MissingHostKeyPolicy]] = {
    "reject": _Reject,
    "warning": paramiko.WarningPolicy,
    "auto_add": paramiko.AutoAddPolicy,
}


class _Status(Protocol):
    st_size: int | None
    st_mtime: float | None


class Hosts(SFTPFileSystem):
    """fsspec's SFTP, which knows the hosts that ssh knows: fsspec itself takes any host's key."""

    def __init__(self, host: str, host_key_policy: str = "reject", **options: str | int) -> None:
        self._policy = _POLICIES[host_key_policy]
        super().__init__(host, **options)

    def _connect(self) -> None:
        settings = _configured(self.host)
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        if Path("/etc/ssh/ssh_known_hosts").is_file():
            self.client.load_system_host_keys("/etc/ssh/ssh_known_hosts")
        self.client.set_missing_host_key_policy(self._policy())
        self.client.connect(**{"timeout": SILENCE, **settings, **self.ssh_kwargs})
        self.ftp = self.client.open_sftp()
        self.ftp.get_channel().settimeout(SILENCE)

    def alive(self) -> None:
        """Connects again where the connection is gone."""
        transport = self.client.get_transport()
        if transport is None or not transport.is_active():
            self._connect()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Hangs up where the host says nothing: who asks again does so on a new connection."""
        try:
            yield
        except TimeoutError:
            self.client.close()
            raise


class SftpStore(Store):
    """A host's files."""

    def check_unchanged(self, of: StoreObject) -> None:
        """Does nothing: each range was of the file that was seen first."""

    def matches(self, pattern: str) -> Iterator[StoreObject]:
        """Yields the files that a pattern matches; links are followed."""
        before = pattern[: len(pattern) - len(self._path)]
        listing = self._patient(lambda: self._fs.glob(self._path, detail=True), pattern)
        for name, info in sorted(listing.items()):
            address = before + name
            if info.get("type") == "file":
                yield self._entry_of(address, info)
            elif info.get("type") == "link":
                try:
                    yield SftpStore(address).entry(address)
                except SourceError:
                    # A link to a folder or to nothing.
                    continue

    def _open(self, address: str) -> tuple[FileSystem, str]:
        logger = logging.getLogger("paramiko")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        where, slash, path = address.partition("://")[2].partition("/")
        parts = urlsplit(f"//{where}")
        options: dict[str, str | int] = {"port": parts.port} if parts.port else {}
        if parts.username:
            options["username"] = unquote(parts.username)
        if parts.password:
            options["password"] = unquote(parts.password)
        made = cast("Callable[..., Hosts]", Hosts)
        fs = made(parts.hostname or "", **options)
        fs.alive()
        return cast(FileSystem, fs), slash + path

    def _range(self, of: StoreObject, start: int, end: int) -> bytes:
        fs = cast(Hosts, self._fs)
        fs.alive()
        # Closing the file would wait as long again.
        with fs.answering(), fs.ftp.open(self._path, "rb") as file, fs.answering():
            file.seek(start)
            data = bytes(file.read(end - start))
            now: _Status = file.stat()
        if (now.st_size, now.st_mtime) != (of.size, of.mtime):
            raise Changed
        return data

    def _known(self, error: Exception) -> Changed | Denied | None:
        lasting = (paramiko.AuthenticationException, paramiko.BadHostKeyException)
        return Denied(str(error)) if isinstance(error, lasting) else None


def _configured(host: str) -> dict[str, object]:
    """Returns what ~/.ssh/config says of a host: its name, port, user and keys."""
    try:
        lookup = paramiko.SSHConfig.from_path(str(Path("~/.ssh/config").expanduser())).lookup(host)
    except FileNotFoundError:
        return {"hostname": host}
    options: dict[str, object] = {"hostname": lookup.get("hostname", host)}
    if "port" in lookup:
        options["port"] = int(lookup["port"])
    if "user" in lookup:
        options["username"] = lookup["user"]
    if "identityfile" in lookup:
        options["key_filename"] = lookup["identityfile"]
    return options
