"""An SFTP server for tests, by paramiko: a folder's files, one user with one password."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import paramiko

from tests.fleet.servers.store import Trouble

USER, PASSWORD = "operator", "pass:word@host"


class Ssh:
    """A server of a folder; `known` is its line for known_hosts, `trouble` meets reads of files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trouble = folder, Trouble()
        self.logins = 0
        self._key = paramiko.ECDSAKey.generate()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.transports: list[paramiko.Transport] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def known(self) -> str:
        return f"[127.0.0.1]:{self.port} {self._key.get_name()} {self._key.get_base64()}\n"

    def close(self) -> None:
        self._listening.close()
        for transport in self.transports:
            transport.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self._key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, self)
            transport.start_server(server=_Login(self))
            self.transports.append(transport)


class _Login(paramiko.ServerInterface):
    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh

    def check_auth_password(self, username: str, password: str) -> int:
        if (username, password) != (USER, PASSWORD):
            return paramiko.AUTH_FAILED
        self._ssh.logins += 1
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: _Login, ssh: Ssh) -> None:
        super().__init__(server)
        self._ssh = ssh

    def _path(self, path: str) -> Path:
        return self._ssh.folder / path.lstrip("/")

    def list_folder(self, path):
        found = []
        for each in self._path(path).iterdir():
            attributes = paramiko.SFTPAttributes.from_stat(each.lstat())
            attributes.filename = each.name
            found.append(attributes)
        return found

    def stat(self, path):
        try:
            return paramiko.SFTPAttributes.from_stat(self._path(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path, flags, attr):
        try:
            file = self._path(path).open("rb")
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        handle = _Handle(self._ssh, flags)
        handle.filename, handle.readfile = str(path), file
        return handle


class _Handle(paramiko.SFTPHandle):
    def __init__(self, ssh: Ssh, flags: int) -> None:
        super().__init__(flags)
        self._ssh = ssh

    def stat(self):
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    def read(self, offset, length):
        self._ssh.trouble.requests.append(("read", self.filename, length))
        match self._ssh.trouble.next():
            case "fail":
                return paramiko.SFTP_FAILURE
            case "drop":
                for transport in self._ssh.transports:
                    transport.close()
            case "silent":
                self._ssh.trouble.change()
                self._ssh.transports[-1].join()
                return paramiko.SFTP_FAILURE
            case "change":
                self._ssh.trouble.change()
        return super().read(offset, length)
