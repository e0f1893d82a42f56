"""Layouts in other tools' languages: the tools read every sample to the same values as xensave."""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from xensave import catalogue
from xensave.catalogue.model import Field
from xensave.cli import main
from xensave.context import Context
from xensave.records.codec import decode
from xensave.views.layouts import render
from xensave.views.layouts.parts import described, parts

CONTEXTS = sorted((Path(__file__).parents[1] / "data/contexts").glob("*.ctx"))
RELEASE = "4.17"
GCC = shutil.which("gcc")
# The folder of node_modules that has kaitai-struct-compiler and js-yaml.
KAITAI = os.environ.get("XENSAVE_KAITAI")
COMPILE = """
const yaml = require("js-yaml"), compiler = require("kaitai-struct-compiler");
const text = require("fs").readFileSync(0, "utf8");
Promise.resolve(compiler.compile("python", yaml.load(text), null, false)).then(
    (files) => console.log(JSON.stringify(files)),
    (error) => { console.error(String(error)); process.exit(1); });
"""


def records(release=RELEASE):
    bindings = catalogue.release(release).bindings
    return [described(catalogue.layout(b.layout), b) for b in bindings]


def bodies():
    """Each record of each sample: (description, values that xensave decodes, body)."""
    by_code = {record.binding.typecode: record for record in records()}
    for path in CONTEXTS:
        for record in Context.parse(path.read_bytes()).records:
            found = by_code[record.typecode]
            body = bytes(record.body)
            if found.layout.size:
                yield found, decode(found.layout, body), body


def plain(value):
    """Values as nested lists and dicts of numbers."""
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else int(value)


def read_by(value, wanted, child):
    """What a tool's object holds, in the shape of `wanted`; `child` gets a member by name."""
    if isinstance(wanted, dict):
        return {name: read_by(child(value, name), item, child) for name, item in wanted.items()}
    if isinstance(wanted, list):
        return [read_by(item, each, child) for item, each in zip(list(value), wanted, strict=True)]
    return int(value)


def test_padding_and_bits_are_written_out():
    fields = (
        Field("a", "uint8_t", 0, 1),
        Field("b", "uint32_t", 4, 4, bits=(0, 3)),
        Field("c", "uint32_t", 4, 4, bits=(12, 19)),
        Field("d", "uint16_t", 8, 2),
    )
    found = parts(fields, 12)
    assert [(m.name, m.size, m.items) for m in found] == [
        ("a", 1, None),
        ("", 1, 3),
        ("", 4, None),
        ("d", 2, None),
        ("", 1, 2),
    ]
    assert [tuple(bit) for bit in found[2].bits] == [("b", 3), ("", 9), ("c", 19), ("", 1)]


@pytest.mark.parametrize("release", catalogue.release_names())
def test_members_fill_every_record(release):
    def extent(member):
        return member.size * (1 if member.items is None else member.items)

    for record in records(release):
        assert sum(map(extent, record.members)) == record.layout.size


@pytest.mark.skipif(GCC is None, reason="no gcc: NOT CHECKED")
@pytest.mark.parametrize("release", ["3.1", "4.0", "4.13", "4.17", "4.22"])
def test_gcc_agrees_on_sizes_and_offsets(release):
    header = render("c", records(release), release)
    command = [GCC, "-Wall", "-Werror", "-fsyntax-only", "-xc", "-"]
    done = subprocess.run(command, input=header, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # Twice, and as C++ where there is such a compiler.
    for language in ("c", "c++") if shutil.which("g++") else ("c",):
        both = [*command[:-1], f"-x{language}", "-"]
        twice = subprocess.run(both, input=header * 2, text=True, capture_output=True, check=False)
        assert (twice.returncode, twice.stderr) == (0, "")
    wrong = header.replace("== 1024,", "== 1025,", 1)
    assert subprocess.run(
        command, input=wrong, text=True, capture_output=True, check=False
    ).returncode


@pytest.mark.skipif(GCC is None, reason="no gcc: NOT CHECKED")
def test_c_reads_every_sample(tmp_path):
    """A program that prints each member of each record, by the header alone."""
    lines, wanted, data = [], [], b""
    for record, values, body in bodies():
        start, struct = len(data), f"struct {record.layout.struct}"
        data += body
        for path, number in flat(plain(values)):
            if "." in path and 0 in dict(sized(record.layout.fields)).get(path.split("[")[0], ()):
                continue
            lines.append(f"P((({struct} *)(d + {start}))->{path})\n")
            wanted.append(number & 0xFFFFFFFFFFFFFFFF)
    program = (
        render("c", records(), RELEASE)
        + '#include <stdio.h>\n#define P(x) printf("%llu\\n", (unsigned long long)x);\n'
        + f"static unsigned char d[{len(data)}];\nint main(void)\n{{\n"
        + "fread(d, 1, sizeof d, stdin);\n"
        + "".join(lines)
        + "return 0;\n}\n"
    )
    binary = tmp_path / "reader"
    compiled = [GCC, "-w", "-O0", "-o", str(binary), "-xc", "-"]
    subprocess.run(compiled, input=program.encode(), check=True)
    out = subprocess.run([str(binary)], input=data, capture_output=True, check=True).stdout
    assert [int(line) for line in out.split()] == wanted
    assert len(wanted) > 5000


def flat(value, path=""):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from flat(item, f"{path}[{index}]")
    else:
        yield path, value


def sized(fields):
    return [(field.name, field.dims) for field in fields]


def test_dissect_cstruct_reads_every_sample():
    cstruct = pytest.importorskip("dissect.cstruct", reason="no dissect.cstruct: NOT CHECKED")
    parser = cstruct.cstruct()
    parser.load(render("cstruct", records(), RELEASE))
    count = 0
    for record, values, body in bodies():
        found = getattr(parser, record.binding.name)(body)
        wanted = plain(values)
        assert read_by(found, wanted, getattr) == wanted, record.binding.name
        count += 1
    assert count > 40


@pytest.mark.skipif(not KAITAI, reason="XENSAVE_KAITAI names no node_modules: NOT CHECKED")
def test_kaitai_reads_every_sample(tmp_path):
    pytest.importorskip("kaitaistruct", reason="no kaitaistruct: NOT CHECKED")
    done = subprocess.run(
        ["node", "-e", COMPILE],
        input=render("kaitai", records(), RELEASE),
        capture_output=True,
        text=True,
        env={**os.environ, "NODE_PATH": KAITAI},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [text] = json.loads(done.stdout).values()
    module = tmp_path / "xen_hvm_context.py"
    module.write_text(text)
    spec = importlib.util.spec_from_file_location("xen_hvm_context", module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    for path in CONTEXTS:
        context = loaded.XenHvmContext.from_bytes(path.read_bytes())
        records_of = Context.parse(path.read_bytes()).records
        assert [r.typecode for r in context.records][: len(records_of)] == [
            r.typecode for r in records_of
        ]
        for found, record in zip(context.records, records_of, strict=False):
            layout = catalogue.layout(catalogue.release(RELEASE).binding(record.typecode).layout)
            if layout.size:
                wanted = plain(decode(layout, bytes(record.body)))
                assert read_by(found.body, wanted, kaitai_child) == wanted, layout.id


def kaitai_child(value, name):
    ident = name.lower().strip("_")
    holders = [value]
    while holders:
        holder = holders.pop(0)
        if hasattr(holder, ident):
            return getattr(holder, ident)
        holders += [getattr(holder, f"anon{n}") for n in range(4) if hasattr(holder, f"anon{n}")]
    raise AttributeError(name)


def test_every_format_names_owner_and_commit(capsys):
    for form in ("c", "cstruct", "kaitai", "imhex", "markdown"):
        assert main(["records", "RTC", "LAPIC", "--release", "4.17", "--format", form]) == 0
        out = capsys.readouterr().out
        assert "RTC: HVM save record 11 of Xen, per domain, 24 bytes" in out
        assert '464242cd16 "x86 hvm: Emulate MSR_IA32_TSC_DEADLINE"' in out
        assert "VMCE" not in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["NONE", "--format", "c"], "no record 'NONE'"),
        (["CPU_MSR", "--release", "4.0", "--format", "c"], "no record CPU_MSR in Xen 4.0"),
        (["CPU", "--format", "c", "--json"], "--format goes with records"),
        (["CPU", "RTC"], "one NAME at a time"),
    ],
)
def test_what_cannot_be_rendered(capsys, words, says):
    assert main(["records", *words]) == 2
    assert says in capsys.readouterr().err
