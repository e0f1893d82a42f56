"""Real images are valid; cut or damaged they are not, and nothing but findings comes of it."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules_stream import builders as b
from xensave.findings import NOTE
from xensave.rules.stream import verify
from xensave.source import MemorySource, open_source

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
FILES = sorted(
    [*SHARED.glob("images/*.zst"), *SHARED.glob("contexts/*.ctx")]
    or [*ROOT.glob("examples/*.zst"), *ROOT.glob("examples/*.ctx")]
)
XEN = os.environ.get("XENSAVE_XEN_GIT")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_images_are_valid(path):
    assert [finding for finding in verify(open_source(path)) if finding.severity != NOTE] == []


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".ctx"], ids=lambda p: p.name)
def test_every_cut_of_a_context_is_found(path):
    context = path.read_bytes()
    for cut in range(12, len(context)):
        findings = list(verify(MemorySource(context[:cut])))
        assert [f.rule for f in findings if f.rule == "HVM_RECORDS_COMPLETE"], cut


def damaged(count, seed):
    """Yield streams with a few bytes changed, none of them compressed."""
    chance = random.Random(seed)
    whole = [b.xl_image(), b.libxl_stream(None, b.emulator()), b.hvm_stream(), b.pv_stream()]
    # Headers and fronts of records, not the pages.
    fronts = [[at for at in range(len(w)) if at < 200 or any(w[at & ~7 :][:8])] for w in whole]
    for _ in range(count):
        which = chance.randrange(len(whole))
        data, places = bytearray(whole[which]), fronts[which]
        for _ in range(chance.randint(1, 3)):
            data[chance.choice(places)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield bytes(data)


def test_damage_gives_findings_and_nothing_else():
    for data in damaged(2000, 3):
        for finding in verify(MemorySource(data)):
            assert finding.place.offset is None or finding.place.offset <= len(data) + 8


SCRIPT = """
import io, struct, sys
sys.path.insert(0, sys.argv[1])
from xen.migration.libxc import VerifyLibxc
from xen.migration.libxl import VerifyLibxl
from xen.migration.xl import MAGIC, HEADER_FORMAT
def verdict(data):
    file = io.BytesIO(data)
    if data.startswith(MAGIC.encode()):
        file.read(32)
        _, mandatory, _, length = struct.unpack(HEADER_FORMAT, file.read(16))
        file.read(length)
        verifier = VerifyLibxl if mandatory & 2 else VerifyLibxc
    else:
        verifier = VerifyLibxl if data.startswith(b"Lib") else VerifyLibxc
    try:
        verifier(lambda message: None, file.read).verify()
    except Exception as error:
        return "bad"
    return "good"
stream = sys.stdin.buffer
while head := stream.read(4):
    print(verdict(stream.read(int.from_bytes(head, "little"))))
"""


@pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository")
def test_what_verify_stream_v2_rejects_is_rejected(tmp_path):
    """Oracle: the modules of tools/python/xen/migration, run over valid and damaged streams."""
    for name in ("__init__", "libxc", "libxl", "verify", "xl"):
        show = ["git", "-C", XEN, "show", f"RELEASE-4.17.0:tools/python/xen/migration/{name}.py"]
        path = tmp_path / "xen" / "migration" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(subprocess.run(show, stdout=subprocess.PIPE, check=True).stdout)
    (tmp_path / "xen" / "__init__.py").touch()
    streams = [*damaged(1500, 11), b.xl_image(), b.libxl_stream(), b.hvm_stream(), b.pv_stream()]
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path],
        input=b"".join(len(data).to_bytes(4, "little") + data for data in streams),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.split()
    assert len(said) == len(streams)
    missed = [
        data
        for data, verdict in zip(streams, said, strict=True)
        if verdict == b"bad"
        and not any(True for finding in verify(MemorySource(data)) if _refuses(finding))
    ]
    assert not missed
    assert said.count(b"bad") > 500
    assert said[-4:] == [b"good"] * 4


def _refuses(finding):
    # An optional record is no fault: the specification lets readers pass over it.
    return finding.severity != NOTE or finding.rule == "LIBXC_RECORD_OPTIONAL_KNOWN"
