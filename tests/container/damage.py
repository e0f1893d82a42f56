"""Bytes as a hostile sender would hand them over: cut anywhere, and with a few bytes changed."""

import random


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
