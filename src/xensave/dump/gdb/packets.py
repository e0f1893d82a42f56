"""Packets of gdb's remote protocol: framing, checksums, acknowledgements.

Source: gdb's manual, appendix E ("Overview" and "Packets").
"""

from __future__ import annotations

from contextlib import suppress
from typing import BinaryIO, NamedTuple

PACKET_SIZE = 0x4000
"""The longest packet either side sends; longer ones end the connection."""

_ESCAPED = b"#$*}"


class Arrived(NamedTuple):
    """A packet: its data, and whether the checksum is that of the data."""

    data: bytes
    good: bool


class TooLong(Exception):
    """What arrives is longer than any packet."""


class Arriving:
    """Packets out of bytes in the pieces in which they come.

    Acknowledgements and interrupts between them are passed over: nothing here runs.

    >>> arriving = Arriving()
    >>> arriving.feed(b"+$g#6")
    >>> arriving.take()
    >>> arriving.feed(b"7$")
    >>> arriving.take()
    Arrived(data=b'g', good=True)
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes what came."""
        self._bytes += data

    def take(self) -> Arrived | None:
        """Returns the next packet, None where more has to come. Raises TooLong."""
        start = self._bytes.find(b"$")
        del self._bytes[: start if start >= 0 else len(self._bytes)]
        end = self._bytes.find(b"#")
        if max(end, len(self._bytes) if end < 0 else 0) > PACKET_SIZE:
            raise TooLong
        if end < 0 or len(self._bytes) < end + 3:
            return None
        data, digits = bytes(self._bytes[1:end]), bytes(self._bytes[end + 1 : end + 3])
        del self._bytes[: end + 3]
        return Arrived(data, _sum_of(digits) == sum(data) & 0xFF)


class Packets:
    """Packets over a connection, as two binary files.

    `acknowledge` is turned off by QStartNoAckMode.
    """

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        self._read = read
        self._write = write
        self._arriving = Arriving()
        self.acknowledge = True

    def next(self) -> bytes | None:
        """Returns the next packet's data; None at the end, or after what is no packet."""
        while (arrived := self._whole()) is not None:
            if self.acknowledge:
                self._write.write(acknowledgement(arrived))
                self._write.flush()
            if arrived.good:
                return arrived.data
        return None

    def _whole(self) -> Arrived | None:
        """Returns the next packet; None at the end, or for too much."""
        with suppress(TooLong):
            while (arrived := self._arriving.take()) is None:
                byte = self._read.read(1)
                if not byte:
                    return None
                self._arriving.feed(byte)
            return arrived
        return None

    def send(self, data: bytes) -> None:
        """Sends a packet."""
        self._write.write(packet(data))
        self._write.flush()


def _sum_of(digits: bytes) -> int | None:
    try:
        (number,) = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None
    return number


def acknowledgement(arrived: Arrived) -> bytes:
    """Returns what is said to a packet: it is well, or to be sent again."""
    return b"+" if arrived.good else b"-"


def packet(data: bytes) -> bytes:
    r"""Returns data as a packet.

    >>> packet(b"OK"), packet(b"a#b")
    (b'$OK#9a', b'$a}\x03b#43')
    """
    escaped = bytearray()
    for byte in data:
        escaped += bytes([0x7D, byte ^ 0x20]) if byte in _ESCAPED else bytes([byte])
    return b"$" + escaped + f"#{sum(escaped) & 0xFF:02x}".encode()
