"""What a client may send that no gdb does: each packet has an answer, and none ends the server."""

import io
import random

import pytest

from xensave.dump.gdb.packets import PACKET_SIZE, Packets, packet

MANY = 20_000


@pytest.mark.parametrize(
    "asked",
    [b"p-1", b"p" + b"f" * 9, b"T" + b"f" * 17, b"qThreadExtraInfo," + b"f" * 16000,
     b"qThreadExtraInfo,2", b"qThreadExtraInfo,-1", b"Hg" + b"1" * 16000],
)  # fmt: skip
def test_a_number_of_nothing_is_an_error(session, asked):
    assert session.answer(asked) == b"E03"


@pytest.mark.parametrize("address", [0, 1 << 32, (1 << 47) - 1, 1 << 47, (1 << 64) - 1])
def test_no_address_ends_the_session(session, address):
    answer = session.answer(b"m%x,ffffffff" % address)
    assert answer == b"E14" or 0 < len(bytes.fromhex(answer.decode())) < PACKET_SIZE


def test_noise_is_answered(session):
    chance = random.Random(8)
    fronts = [b"", b"m", b"p", b"Hg", b"T", b"qXfer:features:read:", b"qThreadExtraInfo,"]
    for _ in range(5000):
        noise = bytes(chance.choices(b"mpgHTqX:,;-0123456789abcdef.?vDk\0\xff", k=12))
        assert isinstance(session.answer(chance.choice(fronts) + noise), bytes)


def talk(sent):
    out = io.BytesIO()
    packets = Packets(io.BytesIO(sent), out)
    return packets.next(), out.getvalue()


def test_however_many_are_bad():
    assert talk(b"$g#00" * MANY + packet(b"g")) == (b"g", b"-" * MANY + b"+")


@pytest.mark.parametrize("digits", [b"+7", b" 7", b"\xff\xff", b"0x", b"7_"])
def test_a_checksum_is_two_digits(digits):
    assert talk(b"$\7#" + digits + packet(b"g")) == (b"g", b"-+")
