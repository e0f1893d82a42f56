"""Lengths, counts, nesting and compression that lie: memory and output stay bounded."""

import bz2
import contextlib
import gzip
import json
import lzma
import re
import subprocess
import sys
import tempfile
from itertools import chain, repeat
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from xensave.cli import main
from xensave.container.frames import xl
from xensave.container.framing import HEADER, OPTIONAL, pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import PAIR
from xensave.source.limits import RECORDS_FLOOR
from xensave.testing import streams
from xensave.testing.pv import pv_stream

MIB = 1 << 20
HOSTILE = (0xFFFFFFFF, 0xFFFFFFF8, 0x80000000, 0x7FFFFFFF)
COMMANDS = (
    ["show"],
    ["verify"],
    ["check", "--target", "4.17"],
    ["convert", "--target", "4.17", "--dry-run"],
)
COMPRESS = {
    "zstd": lambda data: zstandard.compress(data, 19),
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
}
HEAD = streams.stream_head("4.17", libxc.HVM) + streams.static_data("4.17")
END = pack_record(libxc.END)
# Without a guest's state a restore would fail, and verify says so.
STATE = pack_record(libxc.HVM_CONTEXT, Path("examples/hvm1.ctx").read_bytes())

# The peak comes from VmHWM: of a child's rusage the kernel keeps what its parent had.
DRIVER = """
import sys
from xensave.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(f"peak {peak}", file=sys.stderr)
sys.exit(code)
"""


def piped(pieces, *words):
    """Return the exit code, stdout, peak memory in bytes and stderr of xensave fed by a pipe."""
    command = [sys.executable, "-c", DRIVER, *words]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with (
            contextlib.suppress(BrokenPipeError),
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err) as process,
        ):
            for piece in pieces:
                process.stdin.write(piece)
        out.seek(0)
        err.seek(0)
        *lines, peak = err.read().splitlines()
        return process.returncode, out.read(), int(peak.split()[1]) << 10, lines


@pytest.fixture
def xensave(tmp_path, capsys):
    """Run a command on bytes; return the exit code, stdout and stderr."""

    def run(data, *words):
        path = tmp_path / "image"
        path.write_bytes(data)
        code = main([*words, str(path)])
        return code, *capsys.readouterr()

    return run


def one_line(err):
    return err.count("\n") == 1 and err.startswith("xensave ")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("length", HOSTILE, ids=hex)
class TestLengths:
    def refused(self, xensave, data, words):
        code, out, err = xensave(data, *words)
        assert code == 1
        assert one_line(err) or re.search("error: .* \\[[A-Z_]+\\]\n|: refused", out)

    @pytest.mark.parametrize("type_", [*libxc.RECORDS, 0x77, OPTIONAL | 0x77])
    def test_libxc_record(self, xensave, words, length, type_):
        self.refused(xensave, HEAD + HEADER.pack(type_, length) + bytes(16), words)

    @pytest.mark.parametrize("type_", [*libxl.RECORDS, 0x77])
    def test_libxl_record(self, xensave, words, length, type_):
        data = libxl.LibxlHeader().to_bytes() + HEADER.pack(type_, length) + bytes(16)
        if words[0] != "check":
            self.refused(xensave, data, words)
            return
        # libxl does not notice that a record is cut: nobody can say what comes of it.
        code, out, err = xensave(data, *words)
        assert code == 1
        assert one_line(err) or ": depends on" in out or ": refused" in out

    def test_xl_optional_data(self, xensave, words, length):
        self.refused(xensave, xl.XlHeader(optional_length=length).to_bytes() + bytes(64), words)

    def test_xl_configuration(self, xensave, words, length):
        optional = length.to_bytes(4, "little") + b"{}"
        data = xl.XlHeader(optional_length=6).to_bytes() + optional
        self.refused(xensave, data + streams.libxl_stream(HEAD + END), words)

    def test_context_record(self, xensave, words, length):
        context = streams.context("4.17")[:32] + hvm.DESCRIPTOR.pack(2, 0, length) + bytes(64)
        self.refused(xensave, context, words)

    def test_page_count(self, xensave, words, length):
        page_data = pack_record(libxc.PAGE_DATA, PAIR.pack(length, 0) + bytes(64))
        code, _, _ = xensave(HEAD + page_data + END, *words)
        assert code == (0 if words[0] == "show" else 1)

    def test_params_count(self, xensave, words, length):
        params = pack_record(libxc.HVM_PARAMS, PAIR.pack(length, 0) + bytes(64))
        assert xensave(HEAD + params + END, *words)[0] == (words[0] != "show")

    def test_p2m_range(self, xensave, words, length):
        stream = pv_stream().replace(PAIR.pack(0, 511), PAIR.pack(0, length))
        assert xensave(stream, *words)[0] == (words[0] != "show")


@pytest.mark.parametrize("command", ["show", "verify"])
class TestMaxSize:
    IMAGE = streams.hvm_image(pages=64)

    def limited(self, xensave, data, command):
        code, out, err = xensave(data, command, "--max-size", "100000")
        assert code == 1
        assert "limit" in out + err
        return out + err

    @pytest.mark.parametrize("codec", COMPRESS)
    def test_of_what_comes_out(self, xensave, command, codec):
        packed = COMPRESS[codec](self.IMAGE)
        assert len(packed) < 100000 < len(self.IMAGE)
        assert xensave(packed, command)[0] == 0
        self.limited(xensave, packed, command)

    def test_of_a_plain_file(self, xensave, command):
        self.limited(xensave, self.IMAGE, command)

    def test_of_a_pipe(self, command):
        code, out, _, err = piped([self.IMAGE], command, "--max-size", "100000", "-")
        assert code == 1
        assert "limit" in out + "".join(err)


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_bomb_is_refused_without_a_limit_given(command):
    bomb = b"".join(COMPRESS["zstd"](bytes(64 * MIB)) for _ in range(8))
    image = COMPRESS["zstd"](HEAD + HEADER.pack(libxc.PAGE_DATA, 0xFFFFFFF8)) + bomb
    code, out, peak, err = piped([image], command, "-")
    assert code == 1
    assert "of zstd data became more than" in out + "".join(err)
    assert peak < 80 * MIB


@pytest.mark.parametrize("codec", COMPRESS)
def test_compression_inside_compression_is_not_undone(xensave, codec):
    nested = COMPRESS[codec](COMPRESS["gzip"](streams.hvm_image()))
    code, _, err = xensave(nested, "show")
    assert code == 1
    assert "compressed" in err and one_line(err)


def test_a_record_of_four_gigabytes_in_a_pipe_is_passed_over():
    length = 0xFFFFFFF8
    zeros = repeat(bytes(MIB), length // MIB)
    rest = bytes(length % MIB)
    pieces = chain([HEAD + HEADER.pack(OPTIONAL | 0x77, length)], zeros, [rest + STATE + END])
    code, out, peak, _ = piped(pieces, "verify", "-")
    assert (code, out.count("\n")) == (1, 2), out
    assert "LIBXC_RECORD_LENGTH_BOUNDED" in out
    assert f"{len(HEAD) + length + len(STATE) + 16} bytes" in out
    assert peak < 64 * MIB


def test_the_longest_record_there_can_be_is_cut_in_a_pipe():
    front = HEAD + HEADER.pack(libxc.HVM_CONTEXT, 0xFFFFFFFF)
    code, _, peak, err = piped([front, bytes(MIB)], "show", "-")
    assert code == 1
    assert "take more than" in err[0]
    assert peak < 64 * MIB


@pytest.mark.parametrize(
    "millions",
    [0.05, 0.1, pytest.param(3, marks=pytest.mark.slow)],
    ids=lambda millions: f"{millions}M",
)
@pytest.mark.parametrize("command", ["show", "verify"])
@pytest.mark.parametrize("type_", [libxc.VERIFY, OPTIONAL | 0x77])
def test_millions_of_empty_records_take_no_memory(command, type_, millions):
    count = int(millions * 1_000_000)
    many = repeat(pack_record(type_) * 10_000, count // 10_000)
    code, out, peak, err = piped(chain([HEAD], many, [STATE + END]), command, "-")
    assert peak < 32 * MIB
    if count > RECORDS_FLOOR:
        assert code == 1
        said = err[0] if command == "show" else out
        assert re.search(r"6\d,\d{3} records of 8 bytes on average: what follows was not", said)
        assert ("STREAM_WITHIN_LIMITS" in out) == (command == "verify")
        return
    assert code == 0, out
    assert f"{count:,}" in out or f"{count + 3} records" in out


def test_very_many_types_of_records_take_no_memory():
    many = (HEADER.pack(OPTIONAL | number, 0) for number in range(60_000))
    code, out, peak, _ = piped(chain([HEAD], many, [STATE + END]), "verify", "-")
    assert code == 0, out
    assert peak < 32 * MIB
    many = (HEADER.pack(OPTIONAL | number, 0) for number in range(200_000))
    code, _, peak, err = piped(chain([HEAD], many, [END]), "show", "-")
    assert (code, "records of 8 bytes on average" in err[0]) == (1, True)
    assert peak < 128 * MIB


def test_nested_streams_take_no_memory():
    front = libxl.LibxlHeader().to_bytes()
    one = pack_record(libxl.LIBXC_CONTEXT) + HEAD + END
    code, out, peak, _ = piped(chain([front], repeat(one * 100, 200)), "verify", "-")
    assert code == 1
    assert len(out) < 10_000
    assert peak < 40 * MIB


def test_a_context_of_millions_of_records_is_refused():
    record = hvm.DESCRIPTOR.pack(2, 0, 0)
    context = streams.context("4.17")[:32] + record * 300_000 + bytes(8)
    code, _, peak, err = piped([context], "show", "-")
    assert (code, "25,759 records in 2,400,040 bytes" in err[0]) == (1, True)
    assert peak < 64 * MIB
    assert piped([context], "verify", "-")[0] == 0


@pytest.mark.parametrize("text", [b"[" * 900_000, b"[[],[]," * 100_000, b"{" + b'"a":' * 9999])
def test_a_configuration_of_nested_json(xensave, text):
    image = streams.xl_image(streams.libxl_stream(HEAD + END), text + b"\0")
    assert xensave(image, "verify")[0] == 1
    # Lists are passed over; of an object, too deep for the parser, the name would be shown.
    assert xensave(image, "show")[0] == text.startswith(b"{")


class TestFindings:
    """A stream with a fault in each of very many records."""

    MANY = 50_000
    PADDED = HEADER.pack(OPTIONAL | 0x77, 1) + b"x" + b"not zero"[:7]

    def pieces(self):
        return chain([HEAD], repeat(self.PADDED * 1000, self.MANY // 1000), [STATE + END])

    def test_twenty_of_a_rule_are_printed(self):
        code, out, peak, _ = piped(self.pieces(), "verify", "-")
        assert code == 1
        lines = out.splitlines()
        assert len(lines) == 22
        more = "49,980 more of LIBXC_PADDING_ZERO; --all-findings prints them"
        assert lines[-2] == f"<stdin>: {more}"
        assert "50000 errors" in lines[-1]
        assert peak < 40 * MIB

    def test_all_are_printed_where_asked_for(self):
        _, out, peak, _ = piped(self.pieces(), "verify", "--all-findings", "-")
        assert out.count("[LIBXC_PADDING_ZERO]") == self.MANY
        assert peak < 40 * MIB + 2 * len(out)

    def test_json_holds_all(self):
        _, out, _, _ = piped(self.pieces(), "verify", "--json", "-")
        assert len(json.loads(out)["findings"]) == self.MANY

    def test_one_finding_stands_for_a_record_with_many(self, xensave):
        pairs = b"bad key\0value\0" * 10_000
        body = libxl.EmulatorHeader(2, 0).to_bytes() + pairs
        record = pack_record(libxl.EMULATOR_XENSTORE_DATA, body)
        _, out, _ = xensave(streams.libxl_stream(HEAD + END, record), "verify")
        assert out.count("[LIBXL_XENSTORE_KEY_CHARACTERS]") == 1
        assert "and 9,999 other keys" in out
