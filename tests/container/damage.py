"""Bytes as they may come: in pieces, and from a hostile sender, cut anywhere or changed."""

import io
import random


class Pipe(io.RawIOBase):
    """Gives a few thousand bytes at a time, once; says how many were taken."""

    def __init__(self, data):
        super().__init__()
        self._file = io.BytesIO(data)

    def read(self, size=-1, /):
        return self._file.read(min(size, 3000))

    def taken(self):
        return self._file.tell()


def hurt(data, seed, head, share):
    """Yields 300 cuts, and 1000 mutations: a `share` of them anywhere, others in the head."""
    chance = random.Random(seed)
    yield from (data[:cut] for cut in chance.sample(range(len(data)), 300))
    for _ in range(1000):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            end = len(changed) if chance.random() < share else head
            changed[chance.randrange(end)] = chance.randrange(256)
        yield bytes(changed)
