"""Damaged contexts: a verdict always, and no more work than the bytes that are there."""

import random
import struct

import pytest

from xensave.catalogue import release_names
from xensave.engine import Domain, Hypervisor
from xensave.engine.loop.reader import ContextCursor
from xensave.toolstack.releases.typical import typical_context

SEED = 1


def damaged(context, rnd):
    data = bytearray(context)
    for _ in range(rnd.choice((1, 1, 2, 8))):
        kind = rnd.randrange(5)
        at = rnd.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << rnd.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = rnd.randbytes(rnd.randrange(40))
        elif kind == 3 and len(data) >= 8:
            at = rnd.randrange(len(data) - 7)
            struct.pack_into("<Q", data, at, rnd.choice((0, 2**64 - 1, rnd.getrandbits(64))))
        else:
            data += data[at : at + 64]
    return bytes(data)


@pytest.mark.parametrize("release", release_names())
def test_a_damaged_context_never_raises(release):
    rnd = random.Random(f"{SEED} {release}")
    hypervisor = Hypervisor(release, Domain("hvm", vcpus=2))
    context = typical_context(release)
    answers = set()
    for _ in range(150):
        verdict = hypervisor.load(damaged(context, rnd))
        assert (verdict.errno == "") == (verdict.accepted is not False)
        answers.add(verdict.accepted)
    assert {True, False} <= answers


def test_the_walk_takes_as_many_steps_as_there_are_records(monkeypatch):
    steps = 0
    look = ContextCursor.descriptor

    def counted(self):
        nonlocal steps
        steps += 1
        return look(self)

    monkeypatch.setattr(ContextCursor, "descriptor", counted)
    header = typical_context("4.17")[:32]
    costs = []
    for records in (1000, 2000):
        steps = 0
        context = header + struct.pack("<HHI", 7, 0, 16).ljust(24, b"\0") * records + bytes(8)
        assert Hypervisor("4.21").load(context).loaded == records
        costs.append(steps)
    assert costs[1] <= 2 * costs[0]


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0xFFFFFFF8, 0x80000000])
@pytest.mark.parametrize("typecode", [2, 5, 16, 18, 20])
def test_a_length_beyond_the_input_is_refused_without_being_believed(typecode, length):
    header = typical_context("4.17")[:32]
    context = header + struct.pack("<HHI", typecode, 0, length) + bytes(64)
    for release in ("3.4", "4.2", "4.13.5", "4.17", "4.21"):
        assert Hypervisor(release).load(context).accepted is False
