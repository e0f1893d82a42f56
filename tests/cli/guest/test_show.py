"""`xensave show`, as a person or a script calls it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import command, on_terminal
from xensave.container.streams.hvm import DESCRIPTOR

ROOT = Path(__file__).parents[3]
HVM = str(ROOT / "examples" / "hvm1.img.zst")
CONTEXT = str(ROOT / "examples" / "hvm1.ctx")
PVH = str(ROOT / "examples" / "pvh1.ctx")
TEXTS = ROOT / "tests" / "data" / "contexts"

show = command("show")


def test_summary(capsys):
    code, out, err = show(capsys, HVM)
    assert (code, err) == (0, "")
    for words in ("hvm1, HVM, 1 vCPU", "Xen 4.17", "16 MiB configured", "QEMU", "version 3"):
        assert words in out
    assert re.search(r"libxc PAGE_DATA +1,020 +25,124,832", out)
    assert re.search(r"PIC +2 +16", out)


def test_summary_of_a_bare_context(capsys):
    code, out, _ = show(capsys, PVH)
    assert code == 0
    assert "PVH, 1 vCPU" in out
    assert "5,232 bytes" in out


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("CPU", r"rflags +0x0000000000000246 +PF ZF IF"),
        ("CPU:0", r"cs_arbytes +0x0000009b +code R A, DPL 0, P"),
        ("2", r"mxcsr +0x00001f80 +IM DM ZM OM UM PM"),
        ("PIC:1", r"irq_base +0x70"),
        ("IOAPIC", r"redirtbl\[1-47\] +0x0000000000010000 +masked"),
        ("LAPIC_REGS", r"LVT_LINT0 +0x00010700 +ExtINT, masked"),
        ("ISA_IRQ", r"i\[0\] +0x0000000000000001 +IRQ 0"),
        ("PIT", r"channels\[0\]\.mode +0x02 +rate generator"),
        ("RTC", r"cmos_data\[11\] +0x02 +register B: 24H"),
        ("HPET", r"capability .* last_timer=2 64-bit"),
        ("MTRR", r"msr_mtrr_fixed\[2\] +0x0101010101010101 +0xa0000-0xbffff WC"),
        ("VMCE_VCPU", r"caps +0x0000000000000002 +banks=2"),
        ("HVM_PARAMS", r"IOREQ_PFN \(5\) +0xfeffd"),
        ("X86_CPUID_POLICY", r"0x80000002 .* 'QEMU TCG CPU ver'"),
        ("X86_MSR_POLICY", r"INTEL_PLATFORM_INFO \(0xce\) +0x0000000080000000"),
        ("X86_TSC_INFO", r"khz +0x0023185f +2299\.999 MHz"),
        ("libxl/EMULATOR_CONTEXT", r"51 45 56 4d 00 00 00 03"),
    ],
)
def test_record(capsys, spec, expected):
    code, out, err = show(capsys, HVM, "--record", spec)
    assert (code, err) == (0, "")
    assert re.search(expected, out), out


def test_xsave_by_component(capsys):
    code, out, _ = show(capsys, PVH, "--record", "CPU_XSAVE")
    assert code == 0
    assert re.search(r"xcr0_accum +0x0000000000000203 +x87 SSE PKRU", out)
    assert re.search(r"PKRU +at 0xa80, in use\n +pkru +0x55555554", out)
    assert re.search(r"xmm\[1\] +0x25{32}\n".replace("25{32}", "(25){16}"), out)


def test_all_shows_every_record(capsys):
    _, out, _ = show(capsys, HVM, "--all")
    _, summary, _ = show(capsys, HVM, "--json")
    names = {record["name"] for record in json.loads(summary)["context"]["records"]}
    headings = set(re.findall(r"^(\w+)\[\d+\]  type", out, re.MULTILINE))
    assert headings == names


def test_json_summary(capsys):
    code, out, _ = show(capsys, HVM, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["type"], found["xen"], found["vcpus"], found["pages"]) == ("hvm", "4.17", 1, 4092)
    assert found["emulators"][0]["version"] == 3
    assert {"index": 1, "name": "STORE_PFN", "value": 0xFEFFC, "hex": f"{0xFEFFC:#018x}"} in found[
        "params"
    ]
    page = page_documented()
    assert set(found) == page


def page_documented():
    """The keys that docs/reference/image/show.md states for the summary."""
    text = (ROOT / "docs/reference/image/show.md").read_text()
    table = text.split("## JSON", 1)[1].split("\n\n| key", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


def test_json_record(capsys):
    _, out, _ = show(capsys, HVM, "--record", "CPU", "--record", "HVM_PARAMS", "--json")
    cpu, params = json.loads(out)
    assert (cpu["name"], cpu["type"], cpu["instance"], cpu["length"]) == ("CPU", 2, 0, 1032)
    assert cpu["fields"]["rip"] == 0xB7B9
    assert len(bytes.fromhex(cpu["fields"]["fpu_regs"])) == 512
    assert cpu["meanings"]["rflags"] == "PF ZF IF"
    assert cpu["parts"][0]["fields"]["mxcsr"] == 0x1F80
    assert params["instance"] is None
    assert params["meanings"]["params[0]"] == "STORE_PFN (1)"


def test_json_all_is_the_summary_and_the_contents(capsys):
    _, out, _ = show(capsys, HVM, "--all", "--json")
    found = json.loads(out)
    assert found["guest"] == "hvm1"
    assert {"CPU", "HVM_PARAMS", "EMULATOR_CONTEXT"} <= {r["name"] for r in found["contents"]}


@pytest.mark.parametrize("path", sorted(TEXTS.glob("*.ctx")), ids=lambda path: path.stem)
def test_hvmctx_style(capsys, path):
    code, out, _ = show(capsys, "--style", "hvmctx", str(path))
    assert code == 0
    assert out.split("\n", 1)[1] == path.with_suffix(".txt").read_text().split("\n", 1)[1]


def test_hvmctx_style_of_an_image_and_what_it_does_not_take(capsys):
    code, out, _ = show(capsys, "--style", "hvmctx", HVM)
    assert code == 0
    assert out.endswith("type 0 instance 0, length 0\n")
    assert show(capsys, "--style", "hvmctx", "--json", HVM)[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.img"], 2, "No such file"),
        ([str(ROOT / "docs")], 2, "holds no image"),
        ([__file__], 1, "no Xen save image"),
        ([HVM, "--record", "NONSENSE"], 2, "no record is called 'NONSENSE'"),
        ([HVM, "--record", "CPU:7"], 1, "holds no CPU:7"),
        ([HVM, "--record", "PAGE_DATA"], 1, "1020 records"),
        ([HVM, "--release", "3.0"], 2, "no release '3.0'"),
        ([HVM, "--max-size", "100"], 1, "limit"),
        ([CONTEXT, "--record", "HVM_PARAMS"], 1, "holds no HVM_PARAMS"),
    ],
)
def test_errors_are_one_line(capsys, words, code, message):
    found, out, err = show(capsys, *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_truncated_context_says_where(capsys, tmp_path):
    path = tmp_path / "cut.ctx"
    path.write_bytes(Path(CONTEXT).read_bytes()[:2000])
    code, _, err = show(capsys, str(path))
    assert code == 1
    assert err.startswith("xensave show: ")
    assert "cut.ctx: offset 0x608: HVM record 6: " in err


def test_an_unknown_type_says_who_owns_it(capsys, tmp_path):
    data = Path(CONTEXT).read_bytes()
    path = tmp_path / "downstream.ctx"
    path.write_bytes(data[:-8] + bytes.fromhex("1600010003000000") + b"abc" + data[-8:])
    code, out, _ = show(capsys, str(path), "--record", "22")
    assert code == 0
    assert "type 22[1]  type 22, 3 bytes" in out
    assert "reserved for Amazon" in out
    assert "61 62 63" in out


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "xensave", "show", *words],
        capture_output=True,
        check=False,
        **options,
    )


def test_standard_input_and_pipes():
    with open(HVM, "rb") as file:
        direct = run("-", stdin=file)
    piped = run("-", input=Path(HVM).read_bytes())
    assert direct.returncode == piped.returncode == 0
    assert direct.stdout == piped.stdout
    assert b"hvm1, HVM" in piped.stdout
    empty = run("-", stdin=subprocess.DEVNULL)
    assert (empty.returncode, empty.stderr) == (1, b"xensave show: <stdin>: is empty\n")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("words", [[], ["--all"]])
def test_lines_fit_the_terminal(width, words):
    """Tables take 52 columns and hex dumps 36; nothing else is wider than it must be."""
    done = run(Path(HVM).name, *words, env=columns(width), cwd=Path(HVM).parent)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert max(map(len, lines)) <= max(width, 52)
    wide = run(Path(HVM).name, *words, env=columns(1000), cwd=Path(HVM).parent).stdout.decode()
    dumps = re.compile(r"^ *[0-9a-f]{4}  .*|^ *\*$", re.MULTILINE)
    assert "".join(dumps.sub("", "\n".join(lines)).split()) == "".join(dumps.sub("", wide).split())


def columns(width):
    return {**os.environ, "COLUMNS": str(width)}


def test_guest_text_is_escaped(tmp_path):
    """On a terminal too, nothing that a guest wrote reaches it raw.

    Errors go to a file: a machine under load draws a progress bar, which has escapes of its own.
    """
    from xensave.container.streams import libxc
    from xensave.testing import streams

    config = json.dumps({"c_info": {"name": "evil\x1b[2J\x07", "type": "pv"}}, ensure_ascii=False)
    records = streams.emulator([("key\x1b]0;x", "value\x1b[31m\x9b")])
    stream = streams.libxl_stream(streams.libxc_stream(b"", domain=libxc.PV), records)
    path = tmp_path / "evil\x1b.img"
    path.write_bytes(streams.xl_image(stream, config.encode().replace(b"\\u001b", b"\x1b") + b"\0"))
    for words in ([], ["--all"], ["--json"], ["--json", "--all"], ["--record", "NO\x1b"]):
        with (tmp_path / "errors").open("w+b") as errors:
            shown, _ = on_terminal(["show", str(path), *words], stderr=errors, NO_COLOR="1")
            errors.seek(0)
            shown += errors.read()
        assert b"\x1b" not in shown, words
        assert b"\x07" not in shown
        assert "\x9b".encode() not in shown
        assert shown


def test_help(capsys):
    assert show(capsys, "--help")[0] == 0


def test_frames_that_were_sent_again_are_counted_once(tmp_path, capsys):
    from xensave.container.frames.xl import MESSAGE
    from xensave.testing import streams

    rounds = streams.memory(8) + streams.memory(3) + streams.hvm_tail("4.17")
    stream = streams.libxl_stream(streams.libxc_stream(rounds, "4.17"))
    path = tmp_path / "live"
    path.write_bytes(streams.xl_image(stream) + MESSAGE + b"\0")
    code, out, _ = show(capsys, str(path))
    assert code == 0
    assert "8 frames with contents (32 KiB), sent as 11 pages" in out
    assert "44 bytes after the end of the stream: xl's word" in out
    code, out, _ = show(capsys, str(path), "--json")
    found = json.loads(out)
    assert (found["distinct_pages"], found["pages"], found["trailer"]) == (8, 11, 44)


def test_frames_of_a_real_live_migration(capsys):
    live = Path("../shared/data/memory/xen417-pvh1-live.stream.xz")
    if not live.exists():
        pytest.skip("needs the larger samples")
    _, out, _ = show(capsys, str(live))
    assert "8,144 frames with contents (31.81 MiB), sent as 10,700 pages" in out


@pytest.mark.parametrize(("width", "levels", "bits"), [(8, 4, 64), (4, 3, 32)])
def test_a_pv_guest_has_32_or_64_bits(capsys, tmp_path, width, levels, bits):
    from xensave.container.framing import pack_record
    from xensave.container.streams import libxc
    from xensave.container.streams.libxc_records import PvInfo
    from xensave.testing import streams

    info = pack_record(libxc.X86_PV_INFO, PvInfo(width, levels).to_bytes())
    path = tmp_path / "pv.stream"
    path.write_bytes(streams.stream_head("4.17", libxc.PV) + info + pack_record(libxc.END))
    assert f"PV of {bits} bits" in show(capsys, str(path))[1]
    assert json.loads(show(capsys, str(path), "--json")[1])["bits"] == bits


@pytest.mark.parametrize("words", [[], ["--all"], ["--json", "--all"]])
@pytest.mark.parametrize("length", [0, 1, 8, 17, 24, 100])
def test_a_record_that_is_cut_is_shown_as_far_as_it_reaches(capsys, tmp_path, length, words):
    data = Path(CONTEXT).read_bytes()
    path = tmp_path / "cut.ctx"
    at = DESCRIPTOR.size + DESCRIPTOR.unpack_from(data)[2]
    while at < len(data) - DESCRIPTOR.size:
        typecode, instance, size = DESCRIPTOR.unpack_from(data, at)
        body = at + DESCRIPTOR.size
        short = min(size, length)
        head = DESCRIPTOR.pack(typecode, instance, short)
        path.write_bytes(data[:at] + head + data[body : body + short] + data[body + size :])
        code, out, err = show(capsys, *words, str(path))
        assert (code, err) == (0, ""), typecode
        assert out
        at = body + size
