"""Changes by path: the right bytes, nothing else, and only what a release takes."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

import xensave
from xensave import catalogue
from xensave.cli import main
from xensave.context import Context, ContextRecord
from xensave.diff import compare
from xensave.edit.apply import EditRequest, edit
from xensave.edit.assignment import parse_assignment
from xensave.edit.judge import EditRefused
from xensave.errors import Unsupported, UsageError
from xensave.testing import streams

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "images"
HVM1 = str(ROOT / "examples" / "hvm1.img.zst")
CONTEXT = str(ROOT / "examples" / "hvm1.ctx")
PVH = str(ROOT / "examples" / "pvh1.ctx")


@pytest.fixture(scope="module")
def hvm1():
    return zstandard.ZstdDecompressor().decompress(Path(HVM1).read_bytes(), max_output_size=1 << 26)


def edited(what, *texts, out, force=False, target="4.17"):
    request = EditRequest([parse_assignment(text) for text in texts], target, "4.17", force)
    return edit(what, str(out), request)


def bytes_changed(old, new):
    """Return the offsets at which two files of one length differ."""
    assert len(old) == len(new)
    return [at for at in range(len(old)) if old[at] != new[at]]


# In a context: an assignment; the record; bytes in its body that change, with their new values.
CASES = [
    ("CPU[0].rip=0x1234", "CPU", {640: 0x34, 641: 0x12}),
    ("CPU.rip=0x1234", "CPU", {640: 0x34, 641: 0x12}),
    ("2.rip=4660", "CPU", {640: 0x34, 641: 0x12}),
    ("CPU.cr4.SMEP=1", "CPU", {682: 0x10}),
    ("cpu.cr4.smep = 1", "CPU", {682: 0x10}),
    ("CPU.rflags.IOPL=3", "CPU", {649: 0x32}),
    ("CPU.x87+SSE.mxcsr.RC=3", "CPU", {25: 0x7F}),
    # The mail of a frozen guest: 0x34 where 0x3c should be. This guest's timer is 0x30.
    ("HPET.timers[0].config|=8", "HPET", {256: 0x38}),
    ("HPET.timers[0].config.periodic=1", "HPET", {256: 0x38}),
    ("HPET.timers[0-2].config|=8", "HPET", {256: 0x38, 288: 0x38, 320: 0x38}),
    ("HPET.timers[0].config&=~0x10", "HPET", {256: 0x20}),
    ("LAPIC_REGS.registers.TPR=0x20", "LAPIC_REGS", {128: 0x20}),
    ("RTC.cmos_data[3]=0x10", "RTC", {3: 0x10}),
    ("PIC[1].imr=0xff", "PIC", {1: 0xFF}),
    ("PCI_LINK.route=01020304", "PCI_LINK", {0: 1, 1: 2, 2: 3, 3: 4}),
    ("IOAPIC.redirtbl[1].fields.mask=0", "IOAPIC", {26: 0}),
    ("VIRIDIAN_VCPU.vp_assist_msr.enabled=1", "VIRIDIAN_VCPU", {0: 1}),
]


@pytest.mark.parametrize(("text", "name", "changed"), CASES, ids=[case[0] for case in CASES])
def test_a_field(text, name, changed, tmp_path):
    edited(CONTEXT, text, out=tmp_path / "out", force=True)
    old, new = Path(CONTEXT).read_bytes(), (tmp_path / "out").read_bytes()
    with xensave.open(CONTEXT, release="4.17") as image:
        record = next(r for r in image.context.all(name) if f"{name}[1]" not in text or r.instance)
    places = bytes_changed(old, new)
    assert {at - record.offset - 8: new[at] for at in places} == changed


def test_components_of_xsave_and_msrs(tmp_path):
    context = Context.parse(Path(PVH).read_bytes(), "4.17")
    msr = struct.pack("<II", 1, 0) + struct.pack("<IIQ", 0xC0000103, 0, 3)
    records = (*context.records[:-1], ContextRecord(20, 0, msr), context.records[-1])
    data = context.with_records(records).to_bytes()
    edited(data, "CPU_XSAVE.PKRU.pkru=5", "CPU_MSR.TSC_AUX|=4", out=tmp_path / "out", force=True)
    with xensave.open(tmp_path / "out", release="4.17") as image:
        assert image.context["CPU_XSAVE", 0].body[24 + 2688 : 24 + 2692] == b"\5\0\0\0"
        assert image.context["CPU_MSR", 0].structs("msr")[0]["val"] == 7


def test_records_of_the_stream(hvm1, tmp_path):
    texts = (
        "tsc.nsec=5",
        "params.STORE_PFN=0xfeffd",
        "HVM_PARAMS.params[1].value=0xfefff",
        'config.c_info.name=a "quoted" name',
        "config.b_info.max_memkb=32768",
        "cpuid.0x7.0.b.SMEP=0",
        "X86_MSR_POLICY.INTEL_PLATFORM_INFO=0",
    )
    done = edited(HVM1, *texts, out=tmp_path / "out")
    assert done.verdict.accepted is not False
    with xensave.open(tmp_path / "out") as image, xensave.open(hvm1) as before:
        assert image.tsc_info.nsec == 5
        assert image.params[1] == 0xFEFFD
        assert image.guest == 'a "quoted" name'
        assert image.configured_memory == 32 << 20
        assert image.msr_policy[0xCE] == 0
        comparison = compare(before, image)
    assert not comparison.memory.differs
    assert {change.name for change in comparison.changes} == {
        change.name for change in done.changes
    }
    assert "-SMEP" in {bit for change in comparison.changes for bit in change.bits}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CPU[3].rip=1", "the image holds no CPU[3]"),
        ("PIC.imr=1", "there are 2 records PIC"),
        ("CPU.nope=1", "CPU has no field nope"),
        ("CPU.cr4.NOPE=1", "CPU.cr4 has no bit NOPE; it has VME"),
        ("CPU.rip=0x10000000000000000", "rip takes an integer from 0x0"),
        ("CPU.rip=-1", "rip takes an integer from 0x0"),
        ("CPU.rip=x", "'x' is no number"),
        ("CPU.rflags.IOPL=4", "IOPL takes an integer from 0 to 0x3"),
        ("PIC[0].poll=2", "poll takes an integer from 0x0 to 0x1"),
        ("PIT.channels=1", "no single value, it has 3 elements"),
        ("PCI_LINK.route|=1", "only an integer takes |="),
        ("PCI_LINK.route=00", "4 bytes are expected, not 1"),
        ("RTC.cmos_data[3]=256", "from 0 to 0xff"),
        ("HPET.timers[2-1].config=0", "no range"),
        ("HPET.timers[0-99999999].config=0", "no range"),
        ("HPET.timers[3].config=0", "HPET has no field"),
        ("CPU.rip", "changes nothing"),
        (f"CPU[{'1' * 5000}].rip=1", "changes nothing"),
        (f"CPU.{'[0-1].a' * 60}=1", "changes nothing"),
        (f"HPET.timers[{'1' * 200}-2].config=1", "HPET has no field"),
        ("X.y=1", "the image holds no X"),
        ("END.x=1", "END has no fields"),
        ("CPU.rip=1_000", "'1_000' is no number"),
        ("CPU.rip=\u0661", "is no number"),
    ],
)
def test_what_cannot_be_done(text, message, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError) as caught:
        edited(CONTEXT, text, out=out, force=True)
    assert message in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_params_and_msrs_that_are_not_there_yet(hvm1, tmp_path):
    texts = ("params.NESTEDHVM=1", "msrs.0x10b|=3", "params.NESTEDHVM|=2")
    edited(hvm1, *texts, out=tmp_path / "out", force=True)
    with xensave.open(hvm1) as old, xensave.open(tmp_path / "out") as new:
        comparison = compare(old, new)
        assert new.msr_policy == {**old.msr_policy, 0x10B: 3}
        number = catalogue.space("hvm-param").number_of("NESTEDHVM")
        assert new.params == {**old.params, number: 3}
    assert not comparison.memory.differs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params.NOPE=1", "has no field NOPE"),
        ("config.nowhere.x=1", "the configuration has no nowhere.x"),
        ("config.b_info.max_memkb=x", "takes a value of type int"),
        ("config.c_info.name|=1", "takes = only"),
    ],
)
def test_what_cannot_be_done_in_a_stream(hvm1, text, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        edited(hvm1, text, out=tmp_path / "out")
    assert message in caught.value.message


def test_what_the_release_would_refuse(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(EditRefused, match=r"CPU\[0\]"):
        edited(CONTEXT, "CPU.cr4=0xffffffff", out=out)
    assert not out.exists()
    edited(CONTEXT, "CPU.cr4=0xffffffff", out=out, force=True)
    with xensave.open(out, release="4.17") as image:
        assert image.context["CPU", 0].cr4 == 0xFFFFFFFF


def test_every_sample_without_a_change_is_the_same(tmp_path):
    """Setting a field to what it is changes no byte: the writer keeps all else."""
    for name in ("xen417-pvh1", "xen417-pv1", "xen421-pvh1", "xen413-pvh1"):
        path = SHARED / f"{name}.img.zst"
        if not path.exists():
            continue
        with xensave.open(path) as image:
            khz = image.tsc_info.khz
        out = tmp_path / name
        done = edited(str(path), f"tsc.khz={khz}", out=out, force=True)
        assert done.changes == ()
        whole = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 27)
        assert out.read_bytes() == whole


@pytest.mark.skipif(not SHARED.is_dir(), reason="the larger samples are not here")
def test_a_pv_guest(tmp_path):
    out = tmp_path / "out"
    edited(
        str(SHARED / "xen417-pv1.img.zst"),
        "X86_PV_VCPU_BASIC[0].user_regs.rax=0x1122",
        out=out,
        force=True,
    )
    with xensave.open(SHARED / "xen417-pv1.img.zst") as old, xensave.open(out) as new:
        comparison = compare(old, new)
    (change,) = comparison.changes
    assert change.name == "X86_PV_VCPU_BASIC[0].user_regs.rax"
    assert change.new.value == 0x1122


CONTAINERS = SHARED.parent / "containers"


@pytest.mark.parametrize("name", ["libvirt90-pvh1.save.zst", "xenopsd-hvm1.img.zst"])
def test_what_other_toolstacks_save(name, tmp_path):
    path = CONTAINERS / name
    if not path.exists():
        pytest.skip("the samples of containers are not here")
    done = edited(str(path), "tsc.nsec=5", "CPU.rip=0x1000", out=tmp_path / "out")
    assert done.verdict.accepted
    with xensave.open(path) as old, xensave.open(tmp_path / "out") as new:
        comparison = compare(old, new)
    assert [change.path for change in comparison.changes] == ["nsec", "rip"]
    assert not comparison.memory.differs


def test_a_legacy_stream_is_converted_first(tmp_path):
    path = SHARED.parent / "legacy" / "hvm1.legacy.zst"
    if not path.exists():
        pytest.skip("the legacy samples are not here")
    with pytest.raises(Unsupported, match="convert it first"):
        edited(str(path), "tsc.nsec=5", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def run(words, data):
    return subprocess.run(
        [sys.executable, "-m", "xensave", "edit", "-", "-", *words],
        input=data,
        capture_output=True,
        check=False,
    )


def test_in_a_pipe(hvm1):
    done = run(["--set", "tsc.nsec=5", "--set", "CPU.rip=0x1234"], hvm1)
    assert done.returncode == 0
    with xensave.open(done.stdout) as image:
        assert image.tsc_info.nsec == 5
        assert image.context["CPU", 0].rip == 0x1234
    assert b"0x000000000000b7b9 -> 0x0000000000001234" in done.stderr


@pytest.mark.parametrize(
    ("words", "code"), [(["--set", "CPU.cr4=0xffffffff"], 1), (["--set", "CPU[7].rip=1"], 2)]
)
def test_a_refusal_in_a_pipe_leaves_no_whole_image(hvm1, words, code):
    done = run(words, hvm1)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    with xensave.open(done.stdout) as image, pytest.raises(xensave.XensaveError):
        image.counts  # noqa: B018 - the question walks the stream


def test_the_command(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["edit", HVM1, str(out), "--set", "HPET.timers[0].config|=8"]) == 0
    assert "0x00f0000000000030 -> 0x00f0000000000038  +periodic" in capsys.readouterr().out
    assert main(["edit", HVM1, "--dry-run", "--set", "CPU.rip=1", "--json"]) == 0
    assert '"path": "rip"' in capsys.readouterr().out
    assert main(["edit", HVM1, "--set", "CPU.rip=1"]) == 2
    assert main(["edit", CONTEXT, str(out), "--set", "CPU.rip=1"]) == 2
    assert "--target R" in capsys.readouterr().err
    assert main(["edit", CONTEXT, str(out), "--target", "4.17", "--set", "CPU.rip=1"]) == 0


def configured(tmp_path, text, *texts):
    """Return the configuration of an image with this one after changes."""
    stream = streams.libxl_stream(streams.libxc_stream(b""))
    out = tmp_path / "out"
    edited(streams.xl_image(stream, text.encode()), *texts, out=out, force=True)
    with xensave.open(out) as image:
        return image.config


@pytest.mark.parametrize("text", ['\v{"c_info": {"name": "a"}}', '{"c_info": {"name": "a"}}\0{'])
def test_json_that_only_libxl_reads_is_changed(text, tmp_path):
    """libxl passes over more blanks than JSON has, and its string ends at the first NUL."""
    assert configured(tmp_path, text, "config.c_info.name=b")["c_info"] == {"name": "b"}


def test_of_two_members_of_one_name_the_first_is_changed(tmp_path):
    text = '{"c_info": {"name": "a", "domid": 1}, "c_info": {"name": "x", "domid": 7}}'
    new = configured(tmp_path, text, "config.c_info.name=b")
    assert new["c_info"] == {"name": "b", "domid": 1}


def test_text_behind_a_configuration_is_not_lost(tmp_path):
    with pytest.raises(UsageError, match="text follows the configuration's JSON"):
        configured(tmp_path, '{"c_info": {"name": "a"}} more', "config.c_info.name=b")
