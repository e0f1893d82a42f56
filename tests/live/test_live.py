"""A running guest as an input: hypercalls built here, to a library that answers as Xen does."""

import errno
import shutil
import subprocess
from pathlib import Path

import pytest

import xensave
from xensave.cli import main
from xensave.errors import SourceError, Unsupported, UsageError
from xensave.live import libraries, opening
from xensave.live.interface import candidates, interfaces
from xensave.live.opening import open_domain

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONTEXT = ROOT / "examples" / "hvm1.ctx"
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="NO COMPILER: gcc")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "libxencall.so.1"
    command = ["gcc", "-shared", "-fPIC", "-w", "-o", str(path), str(HERE / "xencall.c")]
    subprocess.run(command, check=True)
    return str(path)


@pytest.fixture
def host(library, monkeypatch):
    """Set up the hypervisor behind the library."""

    def setup(version=(4, 17), interface=0x15, context=CONTEXT, refusal=0):
        # The library asks C's environment, which os.environ sets.
        monkeypatch.setenv("FAKE_VERSION", str(version[0] << 16 | version[1]))
        monkeypatch.setenv("FAKE_INTERFACE", str(interface))
        monkeypatch.setenv("FAKE_CONTEXT", str(context))
        monkeypatch.setenv("FAKE_ERRNO", str(refusal))
        monkeypatch.setattr(libraries.XenCall.__init__, "__defaults__", (library,))
        monkeypatch.setattr(libraries.domain_of_name, "__defaults__", ((library,),))

    setup()
    return setup


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("name", ["domain:1", "domain:guest1"])
def test_a_guest(name):
    with xensave.open(name) as image:
        assert image.name == name
        assert image.containers == ("libxc v3", "HVM context")
        assert image.context_bytes == CONTEXT.read_bytes()
        assert (image.xen, image.type, image.vcpus) == ("4.17", "hvm", 1)
        assert image.params == {1: 0xFEFFC}
        assert image.tsc_info[:4] == (0, 2_000_000, 12345, 3)
        assert image.cpuid_policy[0].b.to_bytes(4, "little") == b"Auth"
        assert image.msr_policy == {0xCE: 0x80000000}


@pytest.mark.usefixtures("host")
def test_the_commands(capsys):
    assert main(["show", "domain:1", "--style", "hvmctx"]) == 0
    shown = capsys.readouterr().out
    assert main(["show", str(CONTEXT), "--style", "hvmctx"]) == 0
    assert shown.splitlines()[0] == "HVM save record for domain 1"
    assert shown.splitlines()[1:] == capsys.readouterr().out.splitlines()[1:]
    code = main(["check", "domain:guest1", "-t", "4.17"])
    assert code == 0
    assert capsys.readouterr().out.startswith("domain:guest1: Xen 4.17: ")
    assert main(["diff", "domain:1", "domain:guest1"]) == 0


@pytest.mark.parametrize(
    ("version", "interface", "policy", "tsc"),
    [
        ((4, 5), 0x0A, False, False),
        ((4, 11), 0x10, False, True),
        ((4, 12), 0x11, True, True),
        ((4, 14), 0x12, True, True),
        ((4, 21), 0x17, True, True),
        # A downstream: another interface than the release's.
        ((4, 13), 0x13, True, True),
        ((4, 99), 0x18, True, True),
    ],
)
def test_each_interface(version, interface, policy, tsc, host):
    host(version, interface)
    with xensave.open("domain:1") as image:
        assert image.context_bytes == CONTEXT.read_bytes()
        assert bool(image.cpuid_policy) is policy
        assert (image.tsc_info is not None) is tsc
        assert ("libxc v3" in image.containers) is policy


def test_the_table_of_interfaces():
    versions = [each.version for each in interfaces()]
    assert versions == [0xA, 0xB, 0xC, 0xD, 0xE, *range(0x10, 0x19)]
    assert candidates(4, 20)[0].version == 0x17
    assert len(candidates(4, 20)) == len(versions)


@pytest.mark.parametrize(
    ("name", "setup", "message"),
    [
        ("domain:3", {}, "there is no domain 3"),
        ("domain:0", {}, "there is no domain 0"),
        ("domain:99999", {}, "there is no domain 99999"),
        ("domain:nobody", {}, "no domain is called 'nobody'"),
        ("domain:1", {"interface": 0x7F}, "a control interface that is not known here"),
        ("domain:1", {"refusal": errno.EACCES}, "no right to hypercalls"),
        ("domain:1", {"refusal": errno.ENOENT}, "this is not Xen's dom0"),
    ],
)
def test_what_cannot_be_asked(name, setup, message, host):
    host(**setup)
    with pytest.raises(SourceError, match=message):
        open_domain(name)


def test_an_error_is_one_line(host, capfd):
    host(refusal=errno.EACCES)
    assert main(["show", "domain:1"]) == 2
    assert capfd.readouterr().err == (
        "xensave show: domain:1: no right to hypercalls: only root in dom0 may ask Xen of other"
        " guests\n"
    )


@pytest.mark.usefixtures("host")
def test_a_pv_guest_has_no_context():
    with pytest.raises(Unsupported, match="domain 2 is a PV guest"):
        open_domain("domain:paravm")


@pytest.mark.usefixtures("host")
def test_libxenctrl_where_it_is_all_there_is(library, monkeypatch):
    monkeypatch.setattr(opening, "XenCall", lambda: libraries.XenCall("no-such.so.1"))
    monkeypatch.setattr(opening, "xenctrl_path", lambda: library)
    with xensave.open("domain:guest1") as image:
        assert image.context_bytes == CONTEXT.read_bytes()
        assert image.containers == ("libxc v2", "HVM context")
        assert image.params == {1: 0xFEFFC}
    with pytest.raises(SourceError, match="there is no domain 3"):
        open_domain("domain:3")


def test_no_library(monkeypatch, capsys):
    monkeypatch.setattr(opening, "XenCall", lambda: libraries.XenCall("no-such.so.1"))
    monkeypatch.setattr(opening, "xenctrl_path", lambda: None)
    assert main(["show", "domain:1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no-such.so.1 cannot be loaded" in error
    with pytest.raises(UsageError, match="which domain"):
        open_domain("domain:")
