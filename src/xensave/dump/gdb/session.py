"""One session of gdb: what each packet asks for, answered from the image.

A vCPU is a thread, numbered from 1. Nothing runs and nothing is written: a packet that asks for it
gets an error, and an unknown one the empty answer, as the protocol has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from xensave.container.streams.libxc import PAGE_SIZE
from xensave.dump.gdb.packets import PACKET_SIZE, Packets
from xensave.dump.gdb.target import description_of, register_bytes
from xensave.errors import UsageError
from xensave.image import Image
from xensave.image.memory.vcpu import Vcpu
from xensave.memory.paging import NotMapped
from xensave.memory.physical import AbsentPage

READ_ONLY = b"E01"
NO_SUCH = b"E03"
BAD_ADDRESS = b"E14"
_OK = b"OK"
_UNKNOWN = b""
_GREETING = b"qSupported"
_SIGTRAP = 5
_ALL, _ANY = -1, 0

_MEMORY = re.compile(rb"m([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,8})")
_TRANSFER = re.compile(rb"qXfer:(\w+):read:([\w.]*):([0-9a-fA-F]{1,8}),([0-9a-fA-F]{1,8})")
_REGISTER = re.compile(rb"p([0-9a-fA-F]{1,8})")
_THREAD = re.compile(rb"(?:p[0-9a-f]{1,16}\.)?(-?[0-9a-fA-F]{1,16})")


class Session:
    """Answers packets. Raises UsageError for an image without registers.

    `acknowledge` is off after QStartNoAckMode, `ended` set when gdb went.
    """

    def __init__(self, image: Image) -> None:
        self._vcpus: dict[int, Vcpu] = {
            number + 1: image.vcpu(number) for number in image.vcpu_numbers
        }
        if not self._vcpus:
            raise UsageError("holds no registers of a vCPU").about(image.name)
        self._description = description_of(list(self._vcpus.values()))
        self._thread = min(self._vcpus)
        self.ended = False
        self.acknowledge = True
        self._greeted = False
        self._answers: dict[bytes, Callable[[bytes], bytes]] = {
            b"?": self._stopped,
            b"g": self._registers,
            b"p": self._register,
            b"m": self._memory,
            b"H": self._select,
            b"T": self._alive,
            b"q": self._query,
            b"D": self._detach,
            b"k": self._detach,
        }
        self._answers |= dict.fromkeys((b"c", b"s", b"C", b"S", b"G", b"P", b"M", b"X"), _refuse)

    def run(self, packets: Packets) -> None:
        """Answers packets until gdb detaches, or the connection ends."""
        while not self.ended and (asked := packets.next()) is not None:
            reply = self.reply(asked)
            if reply is not None:
                packets.send(reply)
            packets.acknowledge = self.acknowledge

    def reply(self, asked: bytes) -> bytes | None:
        """Returns what is sent for a packet, None for nothing; `ended` where it was the last."""
        if asked.startswith(_GREETING):
            # gdb says it again every two seconds until it is heard: one answer is due.
            if self._greeted:
                return None
            self._greeted = True
        elif asked == b"QStartNoAckMode":
            self.acknowledge = False
            return _OK
        elif asked == b"k":
            self.ended = True
            return None
        return self.answer(asked)

    def answer(self, asked: bytes) -> bytes:
        """Returns the answer to a packet, b"" where it is not known."""
        if asked.startswith(b"vCont;"):
            return READ_ONLY
        return self._answers.get(asked[:1], _ignore)(asked)

    def _stopped(self, _: bytes) -> bytes:
        return f"T{_SIGTRAP:02x}thread:{self._thread:x};".encode()

    def _registers(self, _: bytes) -> bytes:
        return b"".join(register_bytes(self._vcpu, self._description)).hex().encode()

    def _register(self, asked: bytes) -> bytes:
        match = _REGISTER.fullmatch(asked)
        registers = register_bytes(self._vcpu, self._description)
        if match is None or int(match[1], 16) >= len(registers):
            return NO_SUCH
        return registers[int(match[1], 16)].hex().encode()

    def _memory(self, asked: bytes) -> bytes:
        match = _MEMORY.fullmatch(asked)
        if match is None:
            return NO_SUCH
        virtual = int(match[1], 16)
        count = min(int(match[2], 16), PACKET_SIZE // 2 - 2)
        return self._read(virtual, count).hex().encode() or (BAD_ADDRESS if count else b"")

    def _read(self, virtual: int, count: int) -> bytes:
        """Returns bytes up to the first that is not there."""
        parts = []
        end = virtual + count
        while virtual < end:
            size = min(end - virtual, PAGE_SIZE - virtual % PAGE_SIZE)
            part = self._read_page(virtual, size)
            if part is None:
                break
            parts.append(part)
            virtual += size
        return b"".join(parts)

    def _read_page(self, virtual: int, size: int) -> bytes | None:
        """Returns bytes of a page; of a vCPU in user mode one wants to see the kernel as well."""
        for space in (self._vcpu, self._vcpu.kernel_space):
            with suppress(NotMapped, AbsentPage):
                return space.read(virtual, size)
        return None

    def _select(self, asked: bytes) -> bytes:
        match = _THREAD.fullmatch(asked[2:])
        if match is None:
            return NO_SUCH
        thread = int(match[1], 16)
        if thread in (_ALL, _ANY):
            return _OK
        if thread not in self._vcpus:
            return NO_SUCH
        if asked[1:2] == b"g":
            self._thread = thread
        return _OK

    def _alive(self, asked: bytes) -> bytes:
        match = _THREAD.fullmatch(asked[1:])
        return _OK if match and int(match[1], 16) in self._vcpus else NO_SUCH

    def _detach(self, _: bytes) -> bytes:
        self.ended = True
        return _OK

    def _query(self, asked: bytes) -> bytes:
        name = re.split(rb"[:,;]", asked, maxsplit=1)[0]
        if name == b"qXfer":
            return self._transfer(asked)
        if name == b"qThreadExtraInfo":
            match = _THREAD.fullmatch(asked.partition(b",")[2])
            if match is None or int(match[1], 16) not in self._vcpus:
                return NO_SUCH
            return f"vCPU {int(match[1], 16) - 1}".encode().hex().encode()
        threads = ",".join(f"{thread:x}" for thread in self._vcpus)
        return {
            b"qSupported": (
                f"PacketSize={PACKET_SIZE:x};QStartNoAckMode+;qXfer:features:read+;"
                "qXfer:threads:read+"
            ).encode(),
            b"qfThreadInfo": f"m{threads}".encode(),
            b"qsThreadInfo": b"l",
            b"qC": f"QC{self._thread:x}".encode(),
            b"qAttached": b"1",
            b"qSymbol": _OK,
        }.get(name, _UNKNOWN)

    def _transfer(self, asked: bytes) -> bytes:
        match = _TRANSFER.fullmatch(asked)
        if match is None:
            return NO_SUCH
        kind, annex, start, length = match[1], match[2], int(match[3], 16), int(match[4], 16)
        if (kind, annex) == (b"features", b"target.xml"):
            whole = self._description.to_xml()
        elif kind == b"threads":
            each = (f'<thread id="{thread:x}" name="vCPU {thread - 1}"/>' for thread in self._vcpus)
            whole = f'<?xml version="1.0"?><threads>{"".join(each)}</threads>'.encode()
        else:
            return NO_SUCH
        # Half a packet: any byte may need an escape.
        part = whole[start : start + min(length, PACKET_SIZE // 2)]
        return (b"m" if start + len(part) < len(whole) else b"l") + part

    @property
    def _vcpu(self) -> Vcpu:
        return self._vcpus[self._thread]


def _refuse(_: bytes) -> bytes:
    return READ_ONLY


def _ignore(_: bytes) -> bytes:
    return _UNKNOWN
