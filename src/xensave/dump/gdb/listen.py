"""Where gdb connects: a socket that only its owner can reach, or loopback where asked for."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from xensave.errors import SourceError

PEERS = 16
"""Connections at a time. One more takes the place of that which was answered least lately."""

LOOPBACK = "127.0.0.1"
_OTHERS = 0o177


def listen_unix(path: str) -> socket.socket:
    """Returns a listening Unix socket of mode 0600; SourceError where the name is taken.

    A socket that a server which is gone left behind is replaced.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_OTHERS)
    try:
        _remove_stale(path)
        listener.bind(path)
        listener.listen(PEERS)
    except OSError as error:
        listener.close()
        raise SourceError(str(error.strerror or error)).about(path) from error
    finally:
        os.umask(before)
    return listener


def listen_tcp(port: int) -> socket.socket:
    """Returns a listening socket on the loopback address: any local user can connect to it.

    Raises SourceError where the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(PEERS)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SourceError(f"{LOOPBACK}:{port}: {error}") from error
    return listener


def _remove_stale(path: str) -> None:
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
