"""`xensave records`, as a person or a script calls it."""

import json
import re
import sys

import pytest

from tests.terminal import command
from xensave.catalogue import layouts_of, newest_series, record_names, release, release_names
from xensave.views.catalogue.records_plot import matrix

records = command("records")
NEWEST = newest_series()


def test_the_table_of_a_release(capsys):
    code, out, err = records(capsys, "--release", "4.17")
    assert (code, err) == (0, "")
    assert re.search(r"^18 +VMCE_VCPU +32 +vcpu +Xen +used$", out, re.MULTILINE)
    assert re.search(r"^16 +CPU_XSAVE +600\+", out, re.MULTILINE)
    assert re.search(r"^21 +free$", out, re.MULTILINE)
    assert re.search(r"^22 - 34 +Amazon +reserved +in use downstream$", out, re.MULTILINE)
    assert re.search(r"^35 - 65535 +free$", out, re.MULTILINE)


@pytest.mark.parametrize("name", ["3.1", "4.13", "4.17", "master"])
def test_json_is_a_list_of_numbers(capsys, name):
    code, out, _ = records(capsys, "--release", name, "--json")
    table = json.loads(out)
    assert code == 0
    assert isinstance(table, list)
    assert all({"number", "name", "size", "kind", "owner", "state"} <= set(row) for row in table)
    used = {row["number"]: row for row in table if row["state"] == "used"}
    for binding in release(name).bindings:
        row = used.pop(binding.typecode)
        assert (row["name"], row["size"], row["kind"]) == (binding.name, binding.size, binding.kind)
    assert not used


def test_the_newest_release_is_shown_unasked(capsys):
    assert records(capsys)[1] == records(capsys, "--release", release_names()[-2])[1]


def test_a_record_by_name_in_any_case_and_by_number(capsys):
    by_name = records(capsys, "VMCE_VCPU")
    assert by_name == records(capsys, "vmce_vcpu") == records(capsys, "18")
    assert by_name == records(capsys, "0x12")
    _, out, _ = by_name
    assert "layout VMCE_VCPU.3: struct hvm_vmce_vcpu, 32 bytes" in out
    assert re.search(r"^ +24 +8 +uint64_t +mcg_ext_ctl$", out, re.MULTILINE)
    assert "VMCE_VCPU.2: 24 bytes, 4.3 to 4.9" in out
    assert "mcg_ext_ctl appended at 24, 8 bytes" in out
    assert "e2fea563b9" in out


def test_a_record_of_another_release(capsys):
    _, out, _ = records(capsys, "RTC", "--release", "4.13")
    assert "RTC, number 11, per domain, in Xen 4.13" in out
    assert "16 bytes" in out.splitlines()[1]
    assert records(capsys, "RTC", "--release", "4.13", "--json")[0] == 0


def test_bits_and_nested_members_stand_under_their_union(capsys):
    _, out, _ = records(capsys, "CPU", "--release", "4.17")
    assert re.search(r"^ +1016 +4 +union +\(union\)$", out, re.MULTILINE)
    assert re.search(r"^ +1016 +4 +struct +  \(struct\)$", out, re.MULTILINE)
    assert re.search(r"^ +1016 +8 bits +uint8_t +    pending_vector$", out, re.MULTILINE)
    assert re.search(r"^ *1017\.3 +1 bit +uint8_t +    pending_error_valid$", out, re.MULTILINE)


def test_a_layout_of_32_bits(capsys):
    _, wide, _ = records(capsys, "LAPIC")
    _, narrow, _ = records(capsys, "LAPIC", "--layout", "32")
    assert "32 bytes\n" in wide
    assert "on 32-bit x86: 28 bytes" in wide
    assert "28 bytes on 32-bit x86" in narrow
    value = json.loads(records(capsys, "LAPIC", "--layout", "32", "--json")[1])
    assert (value["bits"], value["size"]) == (32, 28)


@pytest.mark.parametrize("name", record_names())
def test_every_record_has_a_layout_and_a_history(capsys, name):
    code, out, _ = records(capsys, name, "--json")
    value = json.loads(out)
    assert code == 0
    assert [version["layout"] for version in value["history"]] == [
        layout.id for layout in layouts_of(name)
    ]
    assert all(version["introduced"]["commit"] for version in value["history"])
    assert records(capsys, name)[0] == 0


def test_names_that_a_number_had(capsys):
    assert (
        "its number: VIRIDIAN 3.4 to 4.1, VIRIDIAN_DOMAIN 4.2 to master"
        in (records(capsys, "VIRIDIAN")[1])
    )


def test_another_space(capsys):
    _, out, _ = records(capsys, "--space", "hvm-param", "--release", "4.0")
    assert out.startswith("HVM parameters, Xen 4.0; numbers are below 17\n")
    assert re.search(r"^ +1  STORE_PFN +3\.1 +master +Xen +used$", out, re.MULTILINE)
    assert "ALTP2M" not in out  # it came with 4.6
    table = json.loads(records(capsys, "--space", "libxc-record", "--json")[1])
    assert {"number": 0, "name": "END"}.items() <= table[0].items()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["21"], f"21 in Xen {NEWEST}: free"),
        (
            ["22"],
            f"22 in Xen {NEWEST}: reserved for Amazon, by headers; in use downstream",
        ),
        (["18", "--release", "3.1"], "18 in Xen 3.1: free; VMCE_VCPU from 4.2"),
        (["8", "--space", "hvm-param"], f"8 in Xen {NEWEST}: 32BIT, reserved for Citrix"),
        (
            ["7", "--space", "hvm-param"],
            f"7 in Xen {NEWEST}: NVRAM_FD, retired; until 4.2",
        ),
        (["VIRIDIAN", "--space", "hvm-param"], f"9 in Xen {NEWEST}: VIRIDIAN, used"),
        (["12", "--space", "feature"], f"12 in Xen {NEWEST}: grant_map_identity, retired"),
    ],
)
def test_what_became_of_a_number(capsys, words, says):
    code, out, _ = records(capsys, *words)
    assert code == 0
    assert says in out
    number = json.loads(records(capsys, *words, "--json")[1])
    assert number["state"] in out


def test_the_release_is_told(capsys):
    assert records(capsys)[1].startswith(f"HVM save records, Xen {NEWEST}; HVM_SAVE_CODE")


def test_backports_are_in_the_history(capsys):
    out = records(capsys, "LAPIC")[1]
    assert "LAPIC.3: 32 bytes, 4.21 to master" in out
    assert "and in point releases: 4.18.5" in out
    history = json.loads(records(capsys, "LAPIC", "--json")[1])["history"]
    assert "4.20.4" in history[-1]["point_releases"]


def test_a_tree_says_which_numbers_it_takes(capsys, tmp_path):
    save = tmp_path / "hvm/save.h"
    save.parent.mkdir()
    save.write_text(
        "#include <stdint.h>\n"
        "#define DECLARE_HVM_SAVE_TYPE(_x, _code, _type) \\\n"
        "    struct __HVM_SAVE_TYPE_##_x { _type t; char c[_code]; char cpt[1]; }\n"
        "struct tick { uint64_t now; };\nDECLARE_HVM_SAVE_TYPE(TICK, 21, struct tick);\n"
        "/* Range 22 - 23 reserved for Acme */\n#define HVM_SAVE_CODE_MAX 21\n"
    )
    (tmp_path / "xen.h").write_text("")
    params = tmp_path / "hvm/params.h"
    params.write_text("#define HVM_PARAM_STORE_PFN 1\n#define HVM_PARAM_MINE 40\n")
    out = records(capsys, "--source", str(tmp_path))[1]
    assert re.search(r"^21 +TICK +8 +its own +used +hvm/save\.h:5$", out, re.MULTILINE)
    assert re.search(r"^22 - 23 +Acme +reserved +hvm/save\.h:6$", out, re.MULTILINE)
    _, out, _ = records(capsys, "--source", str(tmp_path), "--space", "hvm-param", "--json")
    assert [(n["number"], n["owner"]) for n in json.loads(out)["numbers"]] == [
        (1, "Xen"),
        (40, None),
    ]


def test_a_registry_is_shown(capsys, tmp_path):
    acme = tmp_path / "acme.toml"
    acme.write_text('owner="Ac\\u001bme"\n[[numbers]]\nfirst=0x4100\nlast=0x4103\nused=[0x4100]')
    code, out, _ = records(capsys, "--release", "4.17", "--registry", str(acme))
    assert code == 0
    assert re.search(r"^35 - 16639 +free$", out, re.MULTILINE)
    assert re.search(r"^0x4101 - 0x4103 +Ac\\x1bme +reserved$", out, re.MULTILINE)


def test_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert records(capsys, "--release", "4.17")[0] == 0
    out = records(capsys, "CPU", "--release", "4.17")[1]
    assert max(map(len, out.splitlines())) <= 80


def test_the_picture(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    for ending in (".svg", ".png"):
        target = tmp_path / f"matrix{ending}"
        assert records(capsys, "--plot", str(target)) == (0, "", "")
        assert target.stat().st_size > 10_000
    again = tmp_path / "again.svg"
    records(capsys, "--plot", str(again))
    assert again.read_bytes() == (tmp_path / "matrix.svg").read_bytes()
    text = again.read_text()
    for word in ("VMCE_VCPU", "4.17", "Amazon", "first layout", "1,032"):
        assert word in text


def test_the_matrix_is_the_catalogue():
    names = release_names()
    for line in matrix():
        for at, name in enumerate(names):
            binding = release(name).binding(line.name)
            sizes = [run.size for run in line.runs if run.first <= at <= run.last]
            assert sizes == ([binding.size] if binding else [])


def test_a_picture_without_matplotlib(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = records(capsys, "--plot", "x.svg")
    assert (code, out) == (2, "")
    assert "pip install 'xensave[plot]'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--release", "9.9"], "no release '9.9'"),
        (["NONE"], "no record 'NONE'"),
        (["70000"], "70000 is no number of a record"),
        (["RTC", "--release", "9.9"], "no release '9.9'"),
        (["CPU_MSR", "--release", "4.0"], "no record CPU_MSR in Xen 4.0"),
        (["--space", "none"], "no space 'none'"),
        (["RTC", "--space", "hvm-param"], "no 'RTC' among HVM parameters"),
        (["--source", "x", "--release", "4.17"], "--source is a tree"),
        (["--source", "nowhere"], "no source 'nowhere'"),
        (["--layout", "32"], "--layout goes with the name"),
        (["--plot", "x.svg", "--release", "4.17"], "--plot draws every release"),
        (["--plot", "x.gif"], "a picture ends in .svg, .png, .pdf"),
        (["--plot", "/nowhere/x.svg"], "/nowhere/x.svg: No such file"),
        (["RTC", "--registry", "x"], "--registry goes with"),
    ],
)
def test_what_cannot_be_shown(capsys, words, message):
    code, out, err = records(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
