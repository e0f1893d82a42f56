"""How a seed is injured: bytes anywhere, or words and numbers where bytes would end all parsing."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from xensave.testing.mutate import HOSTILE, mutate

_NUMBER = re.compile(rb"(?<![A-Za-z_])(0x[0-9a-fA-F]+|\d+)")
_WORD = re.compile(rb"[A-Za-z_][\w.-]*")
_HEAD = 64
"""The ELF header: with another magic or class nothing behind it is read."""
_MOST = 20_000
"""How much longer bytes that repeat make an input."""


def injured(kind: str, data: bytes, random: Random) -> bytes:
    """Returns a seed with random injuries, of every other one those that fit its kind.

    >>> injured("rules", b"schema = 1", Random(1)) == injured("rules", b"schema = 1", Random(1))
    True
    """
    fitting = FITTING.get(kind)
    if fitting is None or random.random() < 0.5:
        return mutate(data, random, rounds=5)
    for _ in range(random.randint(1, 2)):
        data = fitting(data, random)
    return data


def _text(data: bytes, random: Random) -> bytes:
    return random.choice((_number, _number, _number, _word, _word, _line, _many))(data, random)


def _number(data: bytes, random: Random) -> bytes:
    """Puts another number, as hostile as a length can be, in place of one."""
    numbers = list(_NUMBER.finditer(data))
    if not numbers:
        return data
    chosen = random.choice(numbers)
    number = random.choice(
        (*HOSTILE, 2, 3, 1 << 64, random.getrandbits(16), random.getrandbits(64))
    )
    form = "{:#x}" if chosen[0].startswith(b"0x") else "{}"
    return data[: chosen.start()] + form.format(number).encode() + data[chosen.end() :]


def _word(data: bytes, random: Random) -> bytes:
    """Puts another word of the seed, a letter more, or none, in place of one."""
    words = list(_WORD.finditer(data))
    if not words:
        return data
    chosen, other = random.choice(words), random.choice(words)
    by = random.choice((other[0], other[0], chosen[0] + b"x", chosen[0] * 40, b""))
    return data[: chosen.start()] + by + data[chosen.end() :]


def _line(data: bytes, random: Random) -> bytes:
    """Leaves a line out, or has it twice, or elsewhere."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    line = lines[at]
    keep = random.randrange(3)
    if keep != 1:
        del lines[at]
    if keep:
        lines.insert(random.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _many(data: bytes, random: Random) -> bytes:
    """Has a few bytes or a line hundreds of times: what nearly matches, or nests, over and over."""
    at = random.randrange(len(data) + 1)
    end = random.choice((at + 1, at + 2, at + random.randint(1, 20), data.find(b"\n", at) + 1))
    count = random.choice((100, 1000, 4000))
    return data[:at] + data[at : max(at, end)] * min(count, _MOST // max(end - at, 1)) + data[at:]


def _elf(data: bytes, random: Random) -> bytes:
    """Changes a word behind the header of an ELF file, mostly in its tables."""
    return data[:_HEAD] + _in_place(data[_HEAD:], random)


def _in_place(data: bytes, random: Random) -> bytes:
    """Changes one to eight bytes; all others stay where they are."""
    if not data:
        return data
    at = random.randrange(len(data))
    size = random.choice((1, 1, 2, 4, 8))
    by = random.choice((*HOSTILE, random.getrandbits(64))).to_bytes(8, "little")[:size]
    return (data[:at] + by + data[at + size :])[: len(data)]


FITTING: dict[str, Callable[[bytes, Random], bytes]] = {
    **dict.fromkeys(
        ("assignment", "document", "host", "metadata", "patch", "patchwork", "server", "rules",
         "registry", "waivers", "headers", "vmcoreinfo"),
        _text,
    ),
    "hypervisor": _elf,
    "vmlinux": _elf,
    "table": _in_place,
}  # fmt: skip
"""Kinds of which a byte anywhere makes nearly always what is refused at its first line."""
