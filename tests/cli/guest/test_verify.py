import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import on_terminal
from xensave.cli import main
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.streams.libxc_records import PAIR, PageData
from xensave.testing.streams import emulator, libxl_stream

ROOT = Path(__file__).parents[3]
EXAMPLE = next(iter(sorted((ROOT / "examples").glob("*.img.zst"))), None)

HEAD = libxc.ImageHeader(2).to_bytes() + libxc.DomainHeader(libxc.HVM, xen_minor=17).to_bytes()
PAGE = pack_record(libxc.PAGE_DATA, PageData((1,)).to_bytes() + bytes(4096))
STATE = pack_record(libxc.HVM_CONTEXT, (ROOT / "examples" / "hvm1.ctx").read_bytes())
VALID = HEAD + PAGE + STATE + pack_record(libxc.END)
BAD = HEAD + pack_record(libxc.PAGE_DATA, bytes(8)) + STATE + pack_record(libxc.END)
CUT = VALID[:-8]


@pytest.fixture
def file(tmp_path):
    def write(data, name="it.img"):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def piped(data, *words, **options):
    command = [sys.executable, "-m", "xensave", "verify", *words]
    done = subprocess.run(command, input=data, capture_output=True, check=False, **options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_valid_image(file, capsys):
    path = file(VALID)
    assert main(["verify", path]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{path}: valid: libxc version 2; x86 HVM guest of Xen 4.17; 3 records, {len(VALID)} bytes"
    ]
    assert err == ""


@pytest.mark.skipif(EXAMPLE is None, reason="no example image")
def test_the_sample_image(capsys):
    assert main(["verify", str(EXAMPLE)]) == 0
    assert "valid" in capsys.readouterr().out


def test_findings_and_exit_1(file, capsys):
    path = file(BAD)
    assert main(["verify", path]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = f"{path}: offset {len(HEAD):#x}: libxc PAGE_DATA: error"
    assert lines[0] == f"{place}: a count of zero [LIBXC_PAGE_DATA_COUNT_POSITIVE]"
    assert lines[-1].startswith(f"{path}: 1 error: libxc version 2")


def test_an_edge_cut_is_truncated(file, capsys):
    assert main(["verify", file(CUT)]) == 1
    out = capsys.readouterr().out
    assert f"offset {len(CUT):#x}" in out
    assert "[STREAM_COMPLETE]" in out


def test_several_images_the_worst_counts(file, capsys):
    valid, bad = file(VALID, "valid"), file(BAD, "bad")
    assert main(["verify", valid, bad]) == 1
    capsys.readouterr()
    assert main(["verify", "/nowhere/at/all", bad, valid]) == 2
    out, err = capsys.readouterr()
    assert err == "xensave verify: /nowhere/at/all: No such file or directory\n"
    *verdicts, summary = out.splitlines()[1:]
    assert ["1 error" in line or "valid:" in line for line in verdicts] == [True] * 2
    assert summary == "3 images: 1 valid, 1 with findings, 1 not read"


@pytest.mark.parametrize(
    ("data", "code", "rules"),
    [(VALID, 0, []), (BAD, 1, ["LIBXC_PAGE_DATA_COUNT_POSITIVE"]), (CUT, 1, ["STREAM_COMPLETE"])],
)
def test_json(file, capsys, data, code, rules):
    path = file(data)
    assert main(["verify", "--json", path]) == code
    said = json.loads(capsys.readouterr().out)
    assert [finding["rule"] for finding in said["findings"]] == rules
    assert said["image"] == path
    assert said["valid"] is (code == 0)
    for finding in said["findings"]:
        assert {"rule", "severity", "offset", "record", "message"} == set(finding)
        assert isinstance(finding["offset"], int)
    assert said["notes"] == []


def test_a_restore_that_would_fail_is_a_warning(file, capsys):
    path = file(HEAD + PAGE + pack_record(libxc.END))
    assert main(["verify", path]) == 1
    assert "END without HVM_CONTEXT before it: a restore would fail" in capsys.readouterr().out
    assert main(["verify", "--fail-on", "error", path]) == 0


def test_json_of_several_is_a_line_each(file, capsys):
    main(["verify", "--json", file(VALID, "a"), file(BAD, "b")])
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["valid"] for one in objects] == [True, False]


def test_notes_are_for_the_verbose(file, capsys):
    params = pack_record(libxc.HVM_PARAMS, PAIR.pack(1, 0) + struct.pack("<QQ", 1, 1))
    path = file(HEAD + PAGE + STATE + params + pack_record(libxc.END))
    main(["verify", path])
    assert "note: " not in capsys.readouterr().out
    main(["verify", "-v", path])
    out = capsys.readouterr().out
    assert "[LIBXC_HVM_PARAMS_BEFORE_CONTEXT]" in out
    assert "libxc PAGE_DATA: 4112 bytes" in out


@pytest.mark.parametrize("words", [[], ["-"], ["-i", "0"], ["-i", "/dev/stdin"], ["-f", "libxc"]])
def test_standard_input(words):
    assert piped(VALID, *words)[0] == 0
    assert piped(BAD, *words)[0] == 1


@pytest.mark.parametrize("words", [["-i", "3"], ["--in=3", "--format", "libxc", "-q"]])
def test_a_descriptor(file, words):
    with open(file(VALID), "rb") as image:
        code, out, err = piped(None, *words, preexec_fn=lambda: os.dup2(image.fileno(), 3),
                               close_fds=False)  # fmt: skip
    assert (code, err) == (0, "")
    assert (out == "") == ("-q" in words)


def test_the_format_is_insisted_on(file, capsys):
    assert main(["verify", "-f", "xl", file(VALID)]) == 1
    assert "[STREAM_WELL_FORMED]" in capsys.readouterr().out


def test_a_pipe_with_an_emulator_record():
    stream = libxl_stream(VALID, emulator([("key", "value")]))
    assert piped(stream, "-f", "libxl")[0] == 0


def test_quiet(file, capfd):
    assert main(["verify", "-q", file(BAD), "/nowhere"]) == 2
    assert capfd.readouterr() == ("", "")


def test_syslog_takes_the_output(file, capsys, monkeypatch):
    import syslog

    sent = []
    monkeypatch.setattr(syslog, "syslog", lambda level, line: sent.append((level, line)))
    assert main(["verify", "--syslog", file(BAD)]) == 1
    assert capsys.readouterr().out == ""
    assert sent[0][0] == syslog.LOG_ERR
    assert "LIBXC_PAGE_DATA_COUNT_POSITIVE" in sent[0][1]


@pytest.mark.parametrize("words", [["-f", "elf"], ["--json", "-v"], ["--nothing"]])
def test_usage(words, file, capsys):
    assert main(["verify", *words, file(VALID)]) == 2
    assert capsys.readouterr().err


def test_a_limit_on_what_it_decompresses_to(file, capsys):
    import gzip

    assert main(["verify", "--max-size", "1000", file(gzip.compress(VALID))]) == 1
    assert "[STREAM_WITHIN_LIMITS]" in capsys.readouterr().out


def test_corrupt_compression_is_a_finding(file, capsys):
    assert main(["verify", file(b"\x28\xb5\x2f\xfd" + b"\xff" * 40)]) == 1
    out, err = capsys.readouterr()
    assert "corrupt zstd data" in out
    assert "Traceback" not in out + err


def test_what_the_guest_wrote_is_escaped(file, capsys):
    stream = libxl_stream(VALID, emulator([("\x1b[31m", "v")]))
    assert main(["verify", file(stream, "a\x1b[5m.img")]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_colour_on_a_terminal_only(file):
    for no_color, coloured in ((None, True), ("1", False)):
        with open(file(b"", "errors"), "w+b") as errors:
            text, code = on_terminal(["verify", file(BAD)], stderr=errors, NO_COLOR=no_color)
            errors.seek(0)
            assert (code, errors.read()) == (1, b"")
        assert (b"\x1b[31merror" in text) == coloured


def test_rules_are_listed(capsys):
    assert main(["verify", "--rules"]) == 0
    out = capsys.readouterr().out
    assert "LIBXC_PAGE_DATA_LENGTH" in out
    assert len(out.splitlines()) > 80


def test_a_large_pipe_takes_little_memory(tmp_path):
    """64 MiB of pages pass through a pipe, and the process holds a few of them at most."""
    page_data = PageData(tuple(range(1024))).to_bytes() + bytes(1024 * 4096)
    writer = (
        "import sys;head,page,end=(bytes.fromhex(x) for x in sys.argv[1:4]);"
        "o=sys.stdout.buffer;o.write(head)\n"
        "for _ in range(16): o.write(page);o.write(bytes(1024*4096))\n"
        "o.write(end)"
    )
    front = pack_record(libxc.PAGE_DATA, page_data)[: 16 + 1024 * 8]
    words = [HEAD.hex(), front.hex(), (STATE + pack_record(libxc.END)).hex()]
    reader = (
        "from xensave.cli import main;print(main(['verify','-q']))\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    feed = subprocess.Popen([sys.executable, "-c", writer, *words], stdout=subprocess.PIPE)
    out = subprocess.run(
        [sys.executable, "-c", reader], stdin=feed.stdout, stdout=subprocess.PIPE, check=True
    ).stdout.split()
    assert feed.wait() == 0
    assert int(out[0]) == 0
    assert int(out[1]) < 32 << 10  # KiB, of which the interpreter takes most
