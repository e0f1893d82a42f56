"""Damage bytes at random, the way a hostile or broken sender would: lengths above all."""

from __future__ import annotations

import struct
from random import Random

HOSTILE = (0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutate(data: bytes, random: Random, rounds: int = 3) -> bytes:
    """Returns data with one to `rounds` random injuries; the same seed gives the same bytes.

    >>> mutate(bytes(8), Random(1)) == mutate(bytes(8), Random(1))
    True
    """
    damaged = bytearray(data)
    for _ in range(random.randint(1, rounds)):
        random.choice(INJURIES)(damaged, random)
    return bytes(damaged)


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_length(data: bytearray, random: Random) -> None:
    if len(data) >= 4:
        at = random.randrange(len(data) - 3) & ~3
        struct.pack_into("<I", data, at, random.choice((*HOSTILE, random.getrandbits(32))))


def _set_word(data: bytearray, random: Random) -> None:
    if len(data) >= 8:
        at = random.randrange(len(data) - 7) & ~7
        struct.pack_into("<Q", data, at, random.choice((0, (1 << 64) - 1, random.getrandbits(64))))


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def _remove(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1)
    del data[at : at + random.choice((1, 4, 8, 24))]


def _repeat(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = data[at : at + random.choice((8, 32, 256))]


def _insert(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1) & ~7
    data[at:at] = random.randbytes(random.choice((4, 8, 16)))


INJURIES = (_flip, _set_length, _set_length, _set_word, _cut, _remove, _repeat, _insert)
