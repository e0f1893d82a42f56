"""`xensave check` and `xensave matrix` as they are called."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.terminal import command
from xensave.catalogue import release_names
from xensave.cli import main
from xensave.testing.streams import hvm_image

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
IMAGE = str(EXAMPLES / "hvm1.img.zst")
CONTEXT = str(EXAMPLES / "pvh1.ctx")
KEYS = {"source", "target", "accepted", "errno", "record", "loaded", "reason", "offset", "cite"}

called = command("check")


def objects(capsys, *words):
    code, out, _ = called(capsys, *words, "--json")
    return code, [json.loads(line) for line in out.splitlines()]


def test_an_image_is_judged_by_each_target(capsys):
    code, found = objects(capsys, IMAGE, "-t", "4.13", "-t", "4.17.7", "-t", "RELEASE-4.21.2")
    assert code == 1
    assert [(one["target"], one["accepted"]) for one in found] == [
        ("4.13", False),
        ("4.17.7", True),
        ("RELEASE-4.21.2", True),
    ]
    assert all(one.keys() >= KEYS for one in found)
    assert found[0]["record"] == "libxc header"
    assert found[1]["loaded"] == 18
    assert found[2]["fixups"] == ["LAPIC from 24 to 32 bytes"]
    assert any("only offered: fpu" in text for text in found[1]["assumes"])


def test_all_means_every_release(capsys):
    _, found = objects(capsys, CONTEXT, "--target", "all")
    assert [one["target"] for one in found] == release_names()


def test_the_exit_code_is_0_where_all_restore(capsys):
    assert called(capsys, IMAGE, CONTEXT, "-t", "4.17")[0] == 0


def test_a_refusal_names_the_record_the_errno_and_the_source(capsys, tmp_path):
    broken = bytearray(Path(CONTEXT).read_bytes())
    broken[36:40] = (1033).to_bytes(4, "little")
    path = tmp_path / "broken.ctx"
    path.write_bytes(broken)
    code, out, _ = called(capsys, str(path), "-t", "4.17", "--type", "pvh")
    assert code == 1
    assert "refused at CPU[0], offset 0x20: EINVAL: its length is 1033" in out
    assert "[hvm_load_cpu_ctxt()]" in out


def test_the_domain_is_what_the_options_say(capsys):
    context = str(EXAMPLES / "hvm1.ctx")
    code, (hvm,) = objects(capsys, context, "-t", "4.17")
    assert (code, hvm["accepted"]) == (0, True)
    code, (pvh,) = objects(capsys, context, "-t", "4.17", "--type", "pvh")
    assert (code, pvh["errno"], pvh["record"]) == (1, "ENODEV", "PIC[0]")


def archive(*members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        folder = tarfile.TarInfo("cases")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return data.getvalue()


def test_a_tar_is_judged_member_by_member_images_and_damage_included(capsys, tmp_path):
    context = Path(CONTEXT).read_bytes()
    tar = archive(
        ("cases/a.bin", context),
        ("cases/empty.bin", b""),
        ("cases/cut.bin", context[:-1]),
        ("cases/image", Path(IMAGE).read_bytes()),
    )
    path = tmp_path / "cases.tar.zst"
    path.write_bytes(zstandard.compress(tar))
    code, found = objects(capsys, str(path), "-t", "4.17")
    assert code == 1
    assert [(one["member"], one["accepted"], one["errno"], one["loaded"]) for one in found] == [
        ("cases/a.bin", True, "", 10),
        ("cases/empty.bin", False, "ENODATA", 0),
        ("cases/cut.bin", False, "ENODATA", 10),
        ("cases/image", True, "", 18),
    ]
    assert found[0]["source"] == f"{path}/cases/a.bin"


def test_a_directory_is_judged_file_by_file(capsys, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.bin").write_bytes(Path(CONTEXT).read_bytes())
    (tmp_path / "a.ctx").write_bytes(b"junk")
    (tmp_path / "notes.txt").write_text("not a context")
    code, found = objects(capsys, str(tmp_path), "-t", "master")
    assert code == 1
    assert [(one["member"], one["accepted"]) for one in found] == [
        ("a.ctx", False),
        ("deep/b.bin", True),
    ]


@pytest.mark.parametrize("path", [IMAGE, CONTEXT])
def test_standard_input_is_read_as_a_pipe(path):
    done = subprocess.run(
        [sys.executable, "-m", "xensave", "check", "-", "-t", "4.17", "--json"],
        input=Path(path).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] is True


def test_a_cut_image_is_refused_with_the_place(capsys, tmp_path):
    whole = zstandard.ZstdDecompressor().stream_reader(Path(IMAGE).read_bytes()).read()
    path = tmp_path / "cut.img"
    path.write_bytes(whole[: len(whole) // 2])
    code, (found,) = objects(capsys, str(path), "-t", "4.17")
    assert (code, found["accepted"], found["rule"]) == (1, False, "STREAM_COMPLETE")
    assert found["offset"] is not None


def test_what_is_no_image_is_trouble_not_a_verdict(capsys, tmp_path):
    path = tmp_path / "core"
    for data in (
        b"\x7fELF" + bytes(600),
        b"root:x:0:0:root:/root:/bin/bash\n",
        b"PK\3\4" + bytes(99),
    ):
        path.write_bytes(data)
        code, out, err = called(capsys, str(path), "-t", "4.17")
        assert (code, out) == (2, "")
        assert str(path) in err
        assert err.count("\n") == 1
    path.write_bytes(b"")
    assert called(capsys, str(path), "-t", "4.17")[0] == 2


def test_a_named_pipe_is_opened_once(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with subprocess.Popen(
        [sys.executable, "-m", "xensave", "check", str(path), "-t", "4.17.7"],
        stdout=subprocess.PIPE,
    ) as done:
        path.write_bytes(
            zstandard.ZstdDecompressor().stream_reader(Path(IMAGE).read_bytes()).read()
        )
        assert b"restores (18 records loaded)" in done.stdout.read()
    assert done.returncode == 0


def test_a_policy_is_taken_from_an_image(capsys, tmp_path):
    code, _ = objects(capsys, CONTEXT, "-t", "4.17", "--policy", IMAGE)
    assert code == 0
    code, _, err = called(capsys, CONTEXT, "-t", "4.17", "--policy", CONTEXT)
    assert code == 2
    assert "carries no CPU policy" in err


def test_a_stream_of_version_2_leaves_the_default_policy(capsys, tmp_path):
    path = tmp_path / "v2.img"
    path.write_bytes(hvm_image("4.13"))
    code, out, err = called(capsys, CONTEXT, "-t", "4.17", "--policy", str(path))
    assert (code, "restores" in out) == (0, True)
    assert "version 2 carries no CPU policy" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.img", "-t", "4.17"], "No such file"),
        ([CONTEXT, "-t", "9.9"], "no release '9.9'"),
        ([CONTEXT], "no target"),
    ],
)
def test_what_cannot_be_asked_exits_2_in_one_line(capsys, words, message):
    code, out, err = called(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_matrix_of_an_image_has_every_release(capsys):
    code = main(["check", IMAGE, "--matrix", "--json"])
    table = json.loads(capsys.readouterr().out)
    assert code == 1
    assert table["columns"] == release_names()
    outcomes = {one["target"]: one["outcome"] for one in table["rows"][0]["targets"]}
    assert outcomes["4.17"] == "restores"
    assert outcomes["4.21"] == "restores with a fix-up"
    assert outcomes["4.13"] == "refused"
    main(["check", IMAGE, "--matrix"])
    assert "libxc header: the stream has version 3" in capsys.readouterr().out


def test_the_matrix_of_releases_is_the_engines(capsys):
    assert main(["matrix", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    cells = {
        (row["source"], one["target"]): (one["outcome"], one["record"])
        for row in table["rows"]
        for one in row["targets"]
    }
    names = release_names()
    assert len(cells) == len(names) ** 2
    # 4.18.5, 4.19.2 and 4.20.1 made LAPIC longer: the point releases before them refuse it.
    own = {name for name in names if cells[name, name][0] != "restores"}
    assert own == {"4.18", "4.19", "4.20"}
    assert cells["4.14", "4.13"] == ("refused", "libxc header")
    assert cells["4.21", "4.17"] == ("refused", "LAPIC[0]")
    assert cells["4.10", "4.9"] == ("refused", "VMCE_VCPU[0]")
    assert cells["4.13", "4.14"] == ("restores with a fix-up", None)
    assert main(["matrix", "--context", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    row = next(row for row in table["rows"] if row["source"] == "4.14")
    assert next(one["record"] for one in row["targets"] if one["target"] == "4.13") == "RTC[0]"


def test_the_matrix_is_drawn(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "matrix.svg"
    assert main(["matrix", "--plot", str(path)]) == 0
    assert path.read_text().count("<svg") == 1
    assert main(["matrix", "--plot", str(tmp_path / "matrix.nonsense")]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_context_whose_header_claims_no_length_is_judged(tmp_path, capsys):
    whole = Path("examples/pvh1.ctx").read_bytes()
    path = tmp_path / "claims.ctx"
    path.write_bytes(whole[:4] + bytes(4) + whole[8 + 24 :])
    for name in (path, tmp_path):
        assert main(["check", str(name), "--target", "4.17"]) == 1
        assert "ENODATA" in capsys.readouterr().out


def test_an_input_format_is_insisted_on(tmp_path, capsys):
    legacy = bytes.fromhex("0020000000000000 04000000") + bytes(60)
    path = tmp_path / "guest"
    path.write_bytes(legacy)
    assert main(["check", str(path), "--target", "4.17", "--input-format", "hvm"]) == 1
    assert "ENODATA" in capsys.readouterr().out
    assert main(["show", str(path), "--input-format", "libxl"]) == 1
    assert "libxl header" in capsys.readouterr().err
    assert main(["verify", str(path), "--input-format", "libxc"]) == 1
    assert "libxc image header" in capsys.readouterr().out
    out = str(tmp_path / "out")
    assert main(["convert", str(path), out, "--target", "4.17", "--input-format", "xl"]) == 1
    assert "xl header" in capsys.readouterr().err


HOST = "examples/hosts/amd.txt"


def test_a_host_takes_features_without_a_word(capsys, tmp_path):
    """Without leaf 7 the HVM guest, whose state uses none of it, restores and loses them."""
    weak = tmp_path / "weak.txt"
    zero = ":".join(["0" * 8] * 4)
    weak.write_text(re.sub(r"(00000007:0000000\d -> ).*", rf"\g<1>{zero}", Path(HOST).read_text()))
    code, (verdict,) = objects(capsys, IMAGE, "-t", "4.17.7", "--host", str(weak))
    assert code == 0
    (warning,) = verdict["warnings"]
    assert {"smep", "fsgsbase", "pku", "avx2"} <= set(warning.split())


def test_a_host_that_gives_fewer_leaves_refuses(capsys, tmp_path):
    poor = tmp_path / "poor.txt"
    text = Path(HOST).read_text()
    poor.write_text(text.replace("80000000:ffffffff -> 80000021", "80000000:ffffffff -> 80000008"))
    code, (verdict,) = objects(capsys, IMAGE, "-t", "4.17.7", "--host", str(poor))
    assert code == 1
    assert (verdict["errno"], verdict["rule"]) == ("EINVAL", "POLICY_HOST_EXTENDED")


@pytest.mark.parametrize("option", ["host", "policy", "emulator"])
def test_a_file_that_says_nothing_is_trouble(option, capsys, tmp_path):
    """It is no answer about the guest: exit 2, and a line that names the option and the file."""
    nothing = tmp_path / "nothing.txt"
    nothing.write_text("nothing of a host\n")
    assert main(["check", IMAGE, "-t", "4.17.7", f"--{option}", str(nothing)]) == 2
    error = capsys.readouterr().err
    assert f"--{option} {nothing}: " in error
    assert error.count(str(nothing)) == 1


def test_the_policy_of_dom0_says_nothing_of_hvm_guests(capsys, tmp_path):
    """`xen-cpuid -p 0` of a PV dom0 has no CPUID faulting and no large pages; an HVM guest has."""
    dom0 = tmp_path / "dom0.txt"
    dom0.write_text(
        "Domain 0 policy: 3 leaves, 1 MSRs\n CPUID:\n"
        "  00000000:ffffffff -> 0000000d:68747541:444d4163:69746e65\n"
        "  00000001:ffffffff -> 00060fb1:00020800:f6d83203:1fc9c3f5\n"
        "  80000000:ffffffff -> 80000021:68747541:444d4163:69746e65\n"
        " MSRs:\n  000000ce -> 0000000000000000\n"
    )
    code, (verdict,) = objects(capsys, IMAGE, "-t", "4.17.7", "--host", str(dom0))
    assert (code, verdict["accepted"]) == (0, True)
    assert any("the guest can do without" in text for text in verdict["assumes"])
