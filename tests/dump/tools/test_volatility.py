"""volatility3 lists the guest's processes from the image itself, and from what is extracted."""

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

import xensave
from tests.memory import samples
from xensave.cli import main
from xensave.dump import DumpFormat, extract
from xensave.testing import streams

pytest.importorskip("volatility3")

ROOT = Path(xensave.__file__).parent
PLUGIN = ROOT / "volatility"
ISF = "memory/rig-kernel.isf.json.xz"

PROCESSES = {("init", 1), ("xs-marker", 25), ("xs-count0", 26)}

# Without jsonschema volatility3 does not validate the symbols, which takes most of a minute.
VOL = """
import sys
sys.argv[0] = "vol"
sys.modules["jsonschema"] = None
import volatility3.cli
volatility3.cli.main()
"""


@pytest.fixture(scope="module")
def vol(tmp_path_factory):
    """Run volatility3 with the kernel's symbols."""
    path = samples.SHARED / ISF
    if not path.exists():
        pytest.skip(f"needs {path}")
    folder = tmp_path_factory.mktemp("volatility")
    symbols = json.loads(lzma.decompress(path.read_bytes()))
    # volatility3 refuses a kernel without INET and UNIX: it misses these types.
    for name in ("inet_sock", "unix_sock"):
        symbols["user_types"].setdefault(name, {"kind": "struct", "size": 0, "fields": {}})
    (folder / "linux").mkdir()
    (folder / "cache").mkdir()
    (folder / "linux" / "kernel.json").write_text(json.dumps(symbols))

    def run(image, *, plugin):
        words = [sys.executable, "-c", VOL, "--offline", "-q", "-r", "json"]
        words += ["-s", str(folder), "--cache-path", str(folder / "cache")]
        words += ["-p", str(PLUGIN)] if plugin else []
        command = [*words, "-f", str(image), "linux.pslist.PsList"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {(each["COMM"], each["PID"]) for each in json.loads(done.stdout)}

    return run


def test_bytes_that_the_file_has_not_are_zeros_where_they_are_padded(tmp_path):
    from volatility3.framework.contexts import Context
    from volatility3.framework.exceptions import InvalidAddressException

    from xensave.volatility.xensave_layer import XenSaveFile

    data = streams.hvm_image(vcpus=1, pages=1)
    path = tmp_path / "image"
    path.write_bytes(data)
    context = Context()
    context.config["file.location"] = path.as_uri()
    layer = XenSaveFile(context, "file", "file")
    padded = bytes(4096) + data + bytes(4096)
    for offset in (-4096, -1, 0, len(data) - 1, len(data), len(data) + 1, 1 << 64):
        for length in (0, 1, 100, 4096):
            wanted = padded[offset + 4096 :][:length].ljust(length, b"\0")
            assert layer.read(offset, length, pad=True) == wanted
            if not 0 <= offset <= len(data) - length:
                with pytest.raises(InvalidAddressException):
                    layer.read(offset, length)


def test_the_image_itself(vol):
    assert vol(samples.SHARED / samples.PAIR, plugin=True) >= PROCESSES


def test_an_image_of_a_pv_guest(vol):
    assert ("init", 1) in vol(samples.SHARED / samples.PV, plugin=True)


@pytest.mark.slow
def test_a_live_stream(vol):
    samples.shared_bytes(samples.LIVE)
    found = vol(samples.SHARED / samples.LIVE, plugin=True)
    assert "xs-busy" in {name for name, _ in found}


@pytest.mark.slow
@pytest.mark.parametrize("format", [DumpFormat.ELF, DumpFormat.RAW, DumpFormat.LIME])
def test_what_is_extracted(vol, format, tmp_path):
    with samples.shared_image(samples.PAIR) as image:
        extract(image, str(tmp_path / "memory"), format)
    assert vol(tmp_path / "memory", plugin=False) >= PROCESSES


def test_the_path_is_that_of_the_plug_in(capfd):
    assert main(["volatility-path"]) == 0
    assert capfd.readouterr().out == f"{PLUGIN}\n"
    assert (PLUGIN / "xensave_layer.py").exists()
    assert "Volatility Software License" in (PLUGIN / "LICENSE").read_text()


def test_nothing_else_imports_volatility():
    for path in ROOT.rglob("*.py"):
        if path.parent != PLUGIN:
            assert "import volatility3" not in path.read_text(), path
            assert "from volatility3" not in path.read_text(), path
