"""gdb shows a saved guest's backtrace, memory and registers: from the server, and from the ELF."""

import io
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys

import pytest

from tests.memory import samples
from tests.memory.samples import HVM
from xensave import open as open_image
from xensave.dump import DumpFormat, extract
from xensave.dump.gdb import listen_tcp, listen_unix
from xensave.dump.gdb.packets import PACKET_SIZE, Packets, packet
from xensave.errors import SourceError

GDB = shutil.which("gdb")
needs_gdb = pytest.mark.skipif(GDB is None, reason="needs gdb")
SERVER = [sys.executable, "-m", "xensave", "gdbserver"]

FRAMES = [
    "xen_hypercall_amd",
    "HYPERVISOR_suspend",
    "xen_suspend",
    "multi_cpu_stop",
    "cpu_stopper_thread",
    "smpboot_thread_fn",
    "kthread",
    "ret_from_fork",
]


def gdb(*words, commands):
    command = [GDB, "-batch", "-nx", "-iex", "set debuginfod enabled off"]
    command += ["-iex", "set remotetimeout 600", *map(str, words)]
    for each in commands:
        command += ["-ex", each]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def registers_in(text):
    """The integer registers that `info registers` prints."""
    return {
        match[1]: int(match[2], 16)
        for match in re.finditer(r"^(\w+)\s+(0x[0-9a-f]+)\s", text, re.MULTILINE)
    }


def check(output, vcpu, names):
    frames = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+) \(", output, re.MULTILINE)
    # A core's first frame is printed when it is opened, too.
    assert FRAMES in (frames[: len(FRAMES)], frames[1 : len(FRAMES) + 1])
    assert "Linux version 6.1.192" in output
    shown = registers_in(output)
    wanted = vcpu.registers._asdict()
    wanted |= {"eflags": wanted["rflags"], "k_gs_base": wanted["kernel_gs_base"]}
    assert {name: shown[name] for name in names} == {name: wanted[name] for name in names}


GENERAL = [
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rip",
    "eflags",
    "cs",
    "ss",
    "ds",
    "es",
    "fs",
    "gs",
    "fs_base",
    "gs_base",
]
CONTROL = ["k_gs_base", "cr0", "cr2", "cr3", "cr4", "efer"]
COMMANDS = ["bt", "print linux_banner", "info registers"]


@needs_gdb
class TestGdb:
    def test_through_the_server(self, vmlinux):
        samples.shared_bytes(samples.PAIR)
        server = " ".join([*SERVER, str(samples.SHARED / samples.PAIR), "--stdio"])
        done = gdb(vmlinux, commands=[f"target remote | {server}", *COMMANDS, "p $xmm0"])
        with samples.shared_image(samples.PAIR) as image:
            check(done.stdout, image.vcpu(0), GENERAL + CONTROL)

    def test_from_the_elf(self, vmlinux, tmp_path):
        with samples.shared_image(samples.PAIR) as image:
            extract(image, str(tmp_path / "elf"), DumpFormat.ELF)
            done = gdb(vmlinux, tmp_path / "elf", commands=COMMANDS)
            # gdb shows a core's bases only where it knows the thread's address space.
            check(done.stdout, image.vcpu(0), GENERAL[:-2])

    def test_a_pv_guest(self, vmlinux):
        samples.shared_bytes(samples.PV)
        server = " ".join([*SERVER, str(samples.SHARED / samples.PV), "--stdio"])
        done = gdb(vmlinux, commands=[f"target remote | {server}", *COMMANDS])
        assert "Linux version 6.1.192" in done.stdout
        assert "in xen_hypercall_pv ()" in done.stdout

    def test_a_guest_in_real_mode(self):
        server = " ".join([*SERVER, str(HVM), "--stdio"])
        commands = [f"target remote | {server}", "info registers", "x/5xb 0xffff0"]
        done = gdb(commands=commands)
        assert registers_in(done.stdout)["eip"] == 0xB7B9
        assert "0xea\t0x5b\t0xe0\t0x00\t0xf0" in done.stdout

    def test_nothing_is_written_or_run(self):
        server = " ".join([*SERVER, str(HVM), "--stdio"])
        for command in ("set *(char *) 0xffff0 = 1", "set $eip = 1", "continue"):
            done = gdb(commands=[f"target remote | {server}", command])
            assert done.stderr.strip(), command
        with open_image(HVM) as image:
            assert image.memory.read(0xFFFF0, 1) == b"\xea"


class TestAnswers:
    def test_memory_up_to_what_is_there(self, session):
        end = 0x1000000
        with open_image(HVM) as image:
            there = image.memory.read(end - 2, 2).hex().encode()
        assert session.answer(b"m%x,4" % (end - 2)) == there
        assert session.answer(b"m%x,4" % end) == b"E14"

    def test_one_register_is_that_of_all(self, session):
        everything = session.answer(b"g")
        single = b"".join(session.answer(b"p%x" % number) for number in range(16 + 16))
        assert everything.startswith(single)

    def test_threads(self, session):
        assert session.answer(b"qfThreadInfo") == b"m1"
        assert session.answer(b"T1") == b"OK"
        assert session.answer(b"T2") == b"E03"
        assert session.answer(b"Hg2") == b"E03"
        assert session.answer(b"Hg-1") == b"OK"
        assert bytes.fromhex(session.answer(b"qThreadExtraInfo,1").decode()) == b"vCPU 0"

    @pytest.mark.parametrize(
        "asked",
        [b"", b"m", b"mzz,1", b"m0,fffffffff", b"p", b"pzz", b"pffff", b"H", b"T", b"q", b"\xff",
         b"qXfer:features:read:target.xml:0", b"qXfer:auxv:read::0,1", b"vCont?", b"Z0,0,1",
         b"qThreadExtraInfo,zz"],
    )  # fmt: skip
    def test_what_is_no_question_gets_an_answer(self, session, asked):
        assert isinstance(session.answer(asked), bytes)

    def test_a_description_comes_in_pieces(self, session):
        whole = b""
        while True:
            part = session.answer(b"qXfer:features:read:target.xml:%x,100" % len(whole))
            whole += part[1:]
            if part[:1] == b"l":
                break
        import xml.etree.ElementTree as ET

        names = [each.get("name") for each in ET.fromstring(whole).iter("reg")]
        assert names[:9] == ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"]


def test_a_greeting_that_was_said_twice_has_one_answer(session):
    """gdb repeats it where the server takes more than two seconds to start."""
    out = io.BytesIO()
    asked = packet(b"qSupported:swbreak+") * 3 + packet(b"vMustReplyEmpty") + packet(b"D")
    session.run(Packets(io.BytesIO(asked), out))
    answers = re.findall(rb"\$([^#]*)#", out.getvalue())
    assert answers[0].startswith(b"PacketSize=")
    assert answers[1:] == [b"", b"OK"]


class TestPackets:
    def talk(self, sent):
        out = io.BytesIO()
        packets = Packets(io.BytesIO(sent), out)
        return packets.next(), out.getvalue()

    def test_a_packet_is_acknowledged(self):
        assert self.talk(b"+\x03" + packet(b"g")) == (b"g", b"+")

    def test_a_bad_checksum_is_asked_for_again(self):
        assert self.talk(b"$g#00" + packet(b"g")) == (b"g", b"-+")

    @pytest.mark.parametrize("sent", [b"", b"$", b"$g", b"$g#", b"$" + b"a" * (PACKET_SIZE + 9)])
    def test_the_end_ends(self, sent):
        assert self.talk(sent)[0] is None


class TestSockets:
    def test_only_the_owner_may_connect(self, tmp_path):
        path = tmp_path / "socket"
        with listen_unix(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_stale_socket_is_replaced_and_a_file_is_not(self, tmp_path):
        path = tmp_path / "socket"
        listen_unix(str(path)).close()
        with listen_unix(str(path)), pytest.raises(SourceError, match="in use"):
            listen_unix(str(path))
        file = tmp_path / "file"
        file.write_bytes(b"mine")
        with pytest.raises(SourceError):
            listen_unix(str(file))
        assert file.read_bytes() == b"mine"

    def test_loopback_only(self):
        with listen_tcp(0) as listener:
            assert listener.getsockname()[0] == "127.0.0.1"

    def test_the_command_serves_and_cleans_up(self, tmp_path):
        path = tmp_path / "socket"
        command = [*SERVER, str(HVM), "--socket", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout.readline() == f"(gdb) target remote {path}\n"
            for _ in range(2):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    client.sendall(packet(b"?"))
                    stopped = b"+$T05thread:1;#"
                    assert client.recv(len(stopped), socket.MSG_WAITALL) == stopped
            server.send_signal(signal.SIGTERM)
            assert server.wait(600) == 130
        assert not os.path.lexists(path)

    def test_stdin_cannot_be_both(self):
        done = subprocess.run(
            [*SERVER, "-", "--stdio"], stdin=HVM.open("rb"), capture_output=True, check=False
        )
        assert done.returncode == 2
