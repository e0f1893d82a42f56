"""Packets of gdb's remote protocol: framing, checksums, acknowledgements.

Source: gdb's manual, appendix E ("Overview" and "Packets").
"""

from __future__ import annotations

from typing import BinaryIO

PACKET_SIZE = 0x4000
"""The longest packet either side sends; longer ones end the connection."""

_ESCAPED = b"#$*}"


class Packets:
    """Packets over a connection, as two binary files.

    `acknowledge` is turned off by QStartNoAckMode.
    """

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        self._read = read
        self._write = write
        self.acknowledge = True

    def next(self) -> bytes | None:
        """Returns the next packet's data; None at the end, or after what is no packet.

        Acknowledgements and interrupts are passed over: nothing here runs.
        """
        while (data := self._whole()) is not None:
            good = _sum_of(self._read.read(2)) == sum(data) & 0xFF
            if self.acknowledge:
                self._write.write(b"+" if good else b"-")
                self._write.flush()
            if good:
                return data
        return None

    def _whole(self) -> bytes | None:
        """Returns what stands between the next $ and its #; None at the end, or for too much."""
        while (byte := self._read.read(1)) != b"$":
            if not byte:
                return None
        data = bytearray()
        while (byte := self._read.read(1)) != b"#":
            if not byte or len(data) > PACKET_SIZE:
                return None
            data += byte
        return bytes(data)

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


def packet(data: bytes) -> bytes:
    r"""Returns data as a packet.

    >>> packet(b"OK"), packet(b"a#b")
    (b'$OK#9a', b'$a}\x03b#43')
    """
    escaped = bytearray()
    for byte in data:
        escaped += bytes([0x7D, byte ^ 0x20]) if byte in _ESCAPED else bytes([byte])
    return b"$" + escaped + f"#{sum(escaped) & 0xFF:02x}".encode()
