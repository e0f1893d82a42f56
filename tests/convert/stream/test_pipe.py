"""In a pipe: bounded memory, nothing held back, and a refusal that the receiver notices."""

import contextlib
import os
import select
import subprocess
import sys

import pytest

from tests.convert.samples import to
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.context import Context
from xensave.testing import streams
from xensave.testing.streams import restorable_context

PATIENCE = 600
"""Seconds: what takes longer is taken for one that waits without end."""


class Pipe:
    """A running `xensave convert - -`: bytes go in, and what must come out is waited for."""

    def __init__(self, *words):
        command = [sys.executable, "-m", "xensave", "convert", "-", "-", "-q", *words]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.got = b""

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def expect(self, wanted):
        """Wait until everything up to `wanted` has come out, while the input stays open."""
        fd = self.process.stdout.fileno()
        while not self.got.endswith(wanted):
            ready, _, _ = select.select([fd], [], [], PATIENCE)
            assert ready, f"held back: {wanted[-16:].hex()}"
            part = os.read(fd, 1 << 16)
            assert part, "ended early"
            self.got += part

    def finish(self):
        out, error = self.process.communicate(timeout=PATIENCE)
        self.got += out
        return self.process.returncode, error.decode()


@pytest.fixture
def pipe():
    opened = []

    def start(*words):
        opened.append(Pipe(*words))
        return opened[-1]

    yield start
    for one in opened:
        one.process.kill()
        one.process.wait()
        for stream in (one.process.stdin, one.process.stdout, one.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def state(release, context=None):
    return pack_record(libxc.HVM_CONTEXT, context or restorable_context(release))


def head(release):
    frame = streams.xl_image(streams.libxl_stream(streams.libxc_stream(b"", release), b""))
    return frame[:-16]


def test_a_receiver_need_not_wait_for_the_next_record(pipe):
    live = pipe("--target", "4.13", "--allow-loss")
    page = streams.page_data([1, 2])
    live.send(head("4.17"))
    live.send(page)
    live.expect(page)
    live.send(state("4.17"))
    live.expect(to_record("4.13"))
    live.send(pack_record(libxc.END))
    live.expect(pack_record(libxc.END))
    live.send(streams.emulator())
    live.expect(streams.emulator())
    live.send(pack_record(libxl.END))
    live.expect(pack_record(libxl.END))
    live.send(b"domain is yours to unpause")
    live.expect(b"domain is yours to unpause")
    assert live.finish() == (0, "")


def to_record(target):
    return pack_record(libxc.HVM_CONTEXT, to(restorable_context("4.17"), target, "4.17"))


def test_a_page_record_is_passed_on_before_it_is_whole(pipe):
    live = pipe("--target", "4.17")
    record = streams.page_data(range(64))
    live.send(head("4.17"))
    live.send(record[:-5000])
    live.expect(record[:-5000])
    live.send(record[-5000:])
    live.expect(record)


def test_a_checkpoint_is_passed_on_while_the_primary_pauses(pipe):
    live = pipe("--target", "4.21")
    live.send(head("4.17"))
    for _ in range(3):
        live.send(streams.page_data([0]) + state("4.17") + pack_record(libxc.CHECKPOINT))
        live.expect(pack_record(libxc.CHECKPOINT))
        live.send(pack_record(libxl.CHECKPOINT_END))
        live.expect(pack_record(libxl.CHECKPOINT_END))


def test_what_the_target_refuses_at_the_end_of_a_pipe_is_not_done(pipe):
    """The pages are gone by then: the exit code and a line say it, and no END follows them."""
    live = pipe("--target", "4.17")
    live.send(head("4.17") + streams.page_data([1]) + state("4.17"))
    live.send(pack_record(libxc.END) + pack_record(libxl.END))
    code, error = live.finish()
    assert code == 1
    assert "Xen 4.17 would refuse the result: there is no EMULATOR_CONTEXT" in error
    assert live.got.endswith(pack_record(libxc.END))


def lossy_stream():
    context = Context.parse(restorable_context("4.17"), "4.17").replace("RTC", 0, rtc_offset=60)
    frame = streams.memory(3) + state("4.17", context.to_bytes())
    return streams.xl_image(streams.libxl_stream(streams.libxc_stream(frame, "4.17")))


def test_a_refusal_in_a_pipe_leaves_a_stream_without_end(pipe):
    live = pipe("--target", "4.13")
    live.send(lossy_stream())
    code, error = live.finish()
    assert code == 1
    assert "rtc_offset" in error
    assert len(error.splitlines()) == 1
    assert streams.memory(3) in live.got
    verify = [sys.executable, "-m", "xensave", "verify", "-"]
    done = subprocess.run(verify, input=live.got, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"without an END" in done.stdout + done.stderr


def test_a_pipe_gives_what_a_file_gives(pipe, tmp_path):
    path = tmp_path / "in.img"
    path.write_bytes(lossy_stream())
    words = ["--target", "4.13", "--allow-loss"]
    live = pipe(*words)
    live.send(path.read_bytes())
    assert live.finish() == (0, "")
    command = [sys.executable, "-m", "xensave", "convert", str(path), str(tmp_path / "out"), "-q"]
    subprocess.run([*command, *words], check=True)
    assert (tmp_path / "out").read_bytes() == live.got


def test_a_broken_pipe_is_no_traceback(pipe):
    live = pipe("--target", "4.17")
    live.process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
        live.send(lossy_stream())
        live.process.stdin.close()
    error = live.process.stderr.read().decode()
    assert live.process.wait(PATIENCE) == 141
    assert "Traceback" not in error


def test_memory_is_bounded_whatever_the_size(tmp_path):
    path = tmp_path / "in.img"
    from xensave.testing.sparse import write_sparse_image

    size = write_sparse_image(path, 1 << 30)
    code = (
        "import resource, subprocess, sys\n"
        "with open(sys.argv[1], 'rb') as image, open('/dev/null', 'wb') as out:\n"
        "    cat = subprocess.Popen(['cat'], stdin=image, stdout=subprocess.PIPE)\n"
        "    words = ['convert', '-', '-', '-q', '--target', '4.17', '--allow-loss']\n"
        "    done = subprocess.run([sys.executable, '-m', 'xensave', *words],"
        " stdin=cat.stdout, stdout=out, stderr=subprocess.PIPE)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=True, text=True
    )
    assert size > 1 << 30
    assert int(done.stdout) < 100 * 1024
