"""Input that the fuzzers found to be read wrongly once: each stays read rightly."""

import io
import struct

import pytest

from xensave.cli import main
from xensave.container.framing import HEADER, pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import CpuidLeaf, pack_cpuid_policy
from xensave.rules.stream.run import verify
from xensave.source import open_source
from xensave.source.stream import StreamSource
from xensave.testing import streams


def both(data):
    """Return the findings of a file and of a pipe."""
    pipe = StreamSource(io.BytesIO(data).read, "<pipe>")
    return list(verify(open_source(data))), list(verify(pipe))


def pv_stream(*records):
    head = streams.stream_head("4.17", libxc.PV)
    return b"".join([head, *records, pack_record(libxc.END)])


@pytest.mark.parametrize("length", [1, 3, 12, 20])
@pytest.mark.parametrize(
    "type_", [libxc.X86_PV_INFO, libxc.X86_PV_P2M_FRAMES, libxc.X86_PV_VCPU_BASIC]
)
def test_a_padded_pv_record_in_a_pipe_can_be_learned_from(type_, length):
    mapped, piped = both(pv_stream(pack_record(type_, b"\4" * length)))
    assert mapped == piped
    assert mapped


@pytest.mark.parametrize("there", [0, 5, 13, 100])
@pytest.mark.parametrize("claimed", [0x7FFFFFF1, 0xFFFFFFFF])
def test_a_padded_record_that_is_cut_says_how_much_is_there(claimed, there):
    whole = pv_stream()[: -HEADER.size] + HEADER.pack(0x77, claimed) + bytes(there)
    mapped, piped = both(whole)
    assert mapped == piped
    padded = (claimed + 7) & ~7
    assert mapped[-1].message == f"input ends after {there} of {padded} bytes of its body"


def test_a_vendor_string_of_control_characters_is_escaped(capsys, tmp_path):
    leaf = CpuidLeaf(0, 0xFFFFFFFF, 0xD, *struct.unpack("<3I", b"\x1b[2J\x1b]0;x\x07ok"))
    policy = pack_record(libxc.X86_CPUID_POLICY, pack_cpuid_policy([leaf]))
    head = streams.stream_head("4.17", libxc.HVM) + policy + streams.static_data("4.17")
    (tmp_path / "image").write_bytes(head + pack_record(libxc.END))
    assert main(["show", "--record", "X86_CPUID_POLICY", str(tmp_path / "image")]) == 0
    out = capsys.readouterr().out
    assert r"\x1b" in out
    assert out.replace("\n", "").isprintable()
