"""Several gdbs at once: none waits for one that is silent, or that does not read.

A gdb at its prompt says nothing for hours, so silence ends no connection. Everything goes by turns
in one thread, since an image is read by one at a time.
"""

from __future__ import annotations

import errno
import selectors
import socket

from xensave.dump.gdb.listen import PEERS
from xensave.dump.gdb.packets import Arriving, TooLong, acknowledgement, packet
from xensave.dump.gdb.session import Session
from xensave.errors import SourceError
from xensave.image import Image

_CHUNK = 4096
_NO_MORE_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def serve(listener: socket.socket, image: Image, *, once: bool = False) -> None:
    """Answers every gdb that connects; with `once` until the first that was answered is gone.

    Raises SourceError where the system lets no connection in.
    """
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        turns = _Turns(selector, image)
        try:
            while True:
                for key, _ in selector.select():
                    if key.fileobj is listener:
                        turns.admit(listener)
                    elif turns.go_on(key.fd) and once:
                        return
        finally:
            turns.close()


class _Turns:
    """The peers of a server, by their descriptors."""

    def __init__(self, selector: selectors.BaseSelector, image: Image) -> None:
        self._selector = selector
        self._image = image
        self._peers: dict[int, _Peer] = {}
        self._answers = 0

    def admit(self, listener: socket.socket) -> None:
        """Takes in who waits; there is room, or someone goes."""
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno not in _NO_MORE_FILES:
                return  # it went before its turn
            if not self._peers:
                raise SourceError(f"no connection can be taken: {error.strerror}") from error
            self._drop_idlest()
            return
        if len(self._peers) >= PEERS:
            self._drop_idlest()
        connection.setblocking(False)
        self._peers[connection.fileno()] = _Peer(connection, Session(self._image))
        self._selector.register(connection, selectors.EVENT_READ)

    def go_on(self, fd: int) -> bool:
        """Gives a peer its turn; True where one that was answered before is gone now."""
        peer = self._peers.get(fd)
        if peer is None:
            return False  # dropped for another, in this very round
        self._answers += 1
        if peer.go_on(self._answers):
            self._selector.modify(fd, peer.waits_for)
            return False
        self._drop(fd)
        return peer.answered > 0

    def close(self) -> None:
        """Ends all connections."""
        for fd in list(self._peers):
            self._drop(fd)

    def _drop_idlest(self) -> None:
        self._drop(min(self._peers, key=lambda fd: self._peers[fd].answered))

    def _drop(self, fd: int) -> None:
        self._selector.unregister(fd)
        self._peers.pop(fd).connection.close()


class _Peer:
    """One connection: what came of a packet, and what is left to send of an answer."""

    def __init__(self, connection: socket.socket, session: Session) -> None:
        self.connection = connection
        self.answered = 0
        self._session = session
        self._arriving = Arriving()
        self._out = bytearray()

    @property
    def waits_for(self) -> int:
        """Who does not read its answer is not read from either: no answers pile up."""
        return selectors.EVENT_WRITE if self._out else selectors.EVENT_READ

    def go_on(self, turn: int) -> bool:
        """Reads and writes what goes without waiting; False where the connection is over."""
        try:
            if not self._out:
                came = self.connection.recv(_CHUNK)
                if not came:
                    return False
                self._arriving.feed(came)
            return self._answer(turn)
        except BlockingIOError:
            return True
        except (OSError, TooLong):
            return False

    def _answer(self, turn: int) -> bool:
        while True:
            while self._out:
                del self._out[: self.connection.send(self._out)]
            if self._session.ended:
                return False
            arrived = self._arriving.take()
            if arrived is None:
                return True
            if self._session.acknowledge:
                self._out += acknowledgement(arrived)
            if arrived.good:
                reply = self._session.reply(arrived.data)
                self._out += packet(reply) if reply is not None else b""
                self.answered = turn
