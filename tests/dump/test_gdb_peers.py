"""gdbs that share a server: one that is silent, or does not read, is in no other one's way."""

import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from tests.memory.samples import HVM
from xensave import open as open_image
from xensave.dump.gdb import listen_tcp, listen_unix, serve
from xensave.dump.gdb.listen import PEERS
from xensave.dump.gdb.packets import packet

STUCK = 600
"""A peer that waits longer than these seconds waits for ever: the test fails, not hangs."""

STOPPED = b"+$T05thread:1;#"


@pytest.fixture(params=["unix", "tcp"])
def connect(request, tmp_path):
    """Connects a new peer to a server, which ends when one that was answered goes."""
    path = str(tmp_path / "socket")
    with ExitStack() as stack:
        listener = stack.enter_context(
            listen_unix(path) if request.param == "unix" else listen_tcp(0)
        )
        image = stack.enter_context(open_image(HVM))
        server = threading.Thread(
            target=serve, args=(listener, image), kwargs={"once": True}, daemon=True
        )
        server.start()

        def peer():
            client = stack.enter_context(socket.socket(listener.family))
            client.settimeout(STUCK)
            client.connect(listener.getsockname())
            return client

        yield peer
        with peer() as last:
            assert answered(last)
        server.join(STUCK)
        assert not server.is_alive()


def answered(client):
    client.sendall(packet(b"?"))
    answer = b""
    while len(answer) < len(STOPPED) + 2:
        came = client.recv(1000)
        if not came:
            return False
        answer += came
    return answer.startswith(STOPPED)


def test_who_says_nothing_is_in_nobodys_way(connect):
    connect()
    assert answered(connect())


@pytest.mark.parametrize("sent", [b"$", b"$m0,", b"$g#", b"$g#6", b"+" * 100_000 + b"$"])
def test_who_ends_no_packet_is_in_nobodys_way(connect, sent):
    connect().sendall(sent)
    assert answered(connect())


def test_who_reads_no_answer_is_in_nobodys_way(connect):
    deaf, other = connect(), connect()
    deaf.setblocking(False)
    asked = packet(b"qXfer:features:read:target.xml:0,2000") * 100
    with pytest.raises(BlockingIOError):
        # The server takes no more when its answers are not taken: then it waits for this peer.
        while True:
            with suppress(BlockingIOError):
                while True:
                    deaf.send(asked)
            # Not because it had no time yet: it has been round since.
            assert answered(other)
            deaf.send(asked)
    assert answered(connect())


def test_a_packet_may_come_in_pieces(connect):
    slow, other = connect(), connect()
    for byte in packet(b"?")[:-1]:
        slow.sendall(bytes([byte]))
        assert answered(other)
    slow.sendall(packet(b"?")[-1:])
    assert slow.recv(1000).startswith(b"+")


def test_of_too_many_the_one_that_was_never_answered_goes(connect):
    first = connect()
    assert answered(first)
    silent = [connect() for _ in range(PEERS - 1)]
    assert answered(connect())
    assert silent[0].recv(1) == b""
    assert answered(first)
    assert answered(silent[-1])
