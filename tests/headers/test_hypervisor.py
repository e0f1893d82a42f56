"""Records read from binaries: small ones built here in many ways, and Debian's xen-syms."""

import os
import random
import shutil
import struct
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from xensave.binaries.hypervisor import DESCRIPTOR, hypervisor_space, read_hypervisor
from xensave.catalogue import layout, layouts_of, release
from xensave.catalogue.model import PER_DOMAIN, PER_VCPU
from xensave.errors import (
    LimitExceeded,
    Malformed,
    SourceError,
    Unsupported,
    UsageError,
    XensaveError,
)

SOURCE = Path(__file__).parent / "handlers.c"
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
FLAGS = [
    *("-ffreestanding", "-nostdlib", "-static", "-w"),
    *("-mgeneral-regs-only", "-fno-stack-protector"),
]
XEN_SYMS = [
    Path(path)
    for path in (
        os.environ.get("XENSAVE_XEN_SYMS", ""),
        "/usr/lib/debug/boot/xen-syms-4.17-amd64",
        "/usr/lib/debug/usr/lib/xen-4.17/boot/xen-syms-4.17-amd64",
    )
    if path
]
NO_PIE = ("-no-pie", "-fno-pie")
MODELS = {
    "plain": NO_PIE,
    "kernel": (*NO_PIE, "-mcmodel=kernel", "-Wl,-Ttext-segment=0xffffffff80200000"),
    "pie": ("-fPIE", "-static-pie"),
}
FORMS = {"called": (), "inlined": ("-DINLINED",), "asserting": ("-DASSERTS",)}
LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os")
# Every level with every form and entry, each with one of the code models in turn.
VARIANTS = [
    (level, form, checked, list(MODELS)[(at + turn) % len(MODELS)])
    for turn, level in enumerate(LEVELS)
    for at, (form, checked) in enumerate(product(FORMS, (False, True)))
]


def build(target, compiler="gcc", *flags, level="-O2", form="called", model="plain"):
    words = [*FLAGS, *MODELS[model], *FORMS[form], level, *flags]
    subprocess.run([compiler, *words, "-o", str(target), str(SOURCE)], check=True)
    return target


@pytest.fixture(scope="module", params=COMPILERS or ["gcc"])
def compiler(request):
    if request.param not in COMPILERS:
        pytest.skip("no C compiler")
    return request.param


@pytest.fixture(scope="module")
def syms(tmp_path_factory):
    if "gcc" not in COMPILERS:
        pytest.skip("no gcc")
    return build(tmp_path_factory.mktemp("syms") / "syms", "gcc", "-DENTRIES=21")


def expected(entries):
    """(name, code, kind, size, registered, instances) as handlers.c states them."""
    return [
        ("ALPHA", 0, PER_DOMAIN, 24, 32, 1),
        ("BETA", 1, PER_VCPU, 1032, 1040, 1),
        ("GAMMA", 3, PER_DOMAIN, 8, 32, 2),
        ("BOOT", 4, PER_VCPU, None, None, None),
        ("TAIL", 5, PER_VCPU, 152, 160, 1),
        ("LAST", entries - 1, PER_VCPU, 300, 308, 1),
    ]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_records_are_read_whatever_the_compiler_did(tmp_path, compiler, variant):
    level, form, checked, model = variant
    # 30 entries of 40 bytes are as long as 25 of 48: the length alone does not tell them apart.
    entries = 25 if checked else 30
    flags = [f"-DENTRIES={entries}", *(["-DCHECKED"] if checked else [])]
    binary = build(tmp_path / "syms", compiler, *flags, level=level, form=form, model=model)
    space = read_hypervisor(binary)
    found = [(r.name, r.typecode, r.kind, r.size, r.registered, r.instances) for r in space.records]
    assert found == expected(entries)
    assert (space.table_entries, space.entry_size) == (entries, 48 if checked else 40)
    assert space.code_max == entries - 1
    assert space.version == "4.99.1-test"
    assert space.incomplete == ()
    assert next(r for r in space.records if r.name == "BOOT").fixed == 24
    for record in space.records:
        assert record.save == f"save_{record.name}"
        assert record.check == (f"check_{record.name}" if checked else "")


def test_what_cannot_be_read_says_what_would_help(syms, tmp_path):
    stripped = tmp_path / "stripped"
    shutil.copy(syms, stripped)
    subprocess.run(["strip", str(stripped)], check=True)
    with pytest.raises(Malformed, match=r"no symbol table; give xen-syms .*-dbg"):
        read_hypervisor(stripped)
    with pytest.raises(Malformed, match="not an ELF file"):
        hypervisor_space(b"Xen saved domain")
    with pytest.raises(Malformed, match="not an ELF file"):
        hypervisor_space(b"")
    with pytest.raises(Unsupported, match="PE image"):
        hypervisor_space(b"MZ\x90\0" + bytes(200))
    with pytest.raises(SourceError):
        read_hypervisor(tmp_path / "none")
    with pytest.raises(SourceError):
        read_hypervisor(tmp_path)


def test_the_bootable_image_and_other_machines_are_named(syms):
    data = bytearray(syms.read_bytes())
    struct.pack_into("<H", data, 18, 183)  # EM_AARCH64
    with pytest.raises(Unsupported, match=r"AARCH64.*xen-syms"):
        hypervisor_space(bytes(data))
    data = bytearray(syms.read_bytes())
    struct.pack_into("<H", data, 16, 1)  # ET_REL
    with pytest.raises(Unsupported, match="must be linked"):
        hypervisor_space(bytes(data))


def test_an_elf_file_that_is_no_hypervisor_says_so(tmp_path):
    if "gcc" not in COMPILERS:
        pytest.skip("no gcc")
    source = tmp_path / "other.c"
    source.write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-o", str(tmp_path / "other"), str(source)], check=True)
    with pytest.raises(Malformed, match="no symbol hvm_sr_handlers"):
        read_hypervisor(tmp_path / "other")
    source.write_text("char hvm_sr_handlers[840]; int main(void) { return hvm_sr_handlers[1]; }")
    subprocess.run(["gcc", "-o", str(tmp_path / "other"), str(source)], check=True)
    with pytest.raises(Malformed, match="registers a save record"):
        read_hypervisor(tmp_path / "other")


def test_a_compressed_binary_is_read(syms, tmp_path):
    packed = tmp_path / "syms.gz"
    packed.write_bytes(subprocess.run(["gzip", "-c", syms], capture_output=True, check=True).stdout)
    assert read_hypervisor(packed).records == read_hypervisor(syms).records


def test_what_to_install_is_said(syms, monkeypatch):
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(UsageError, match=r"capstone, which is not .*xensave\[binaries\]"):
        read_hypervisor(syms)


def test_damage_is_an_error_of_ours_or_none(syms):
    whole = syms.read_bytes()
    chance = random.Random(22)
    for _ in range(150):
        data = bytearray(whole)
        # Headers and tables are where a damaged length or offset can do harm.
        for _ in range(chance.randint(1, 6)):
            start = chance.choice((0, len(data) - 64 * 12, len(data) // 2))
            data[chance.randrange(start, min(len(data), start + 900))] = chance.randrange(256)
        try:
            hypervisor_space(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        except XensaveError as error:
            assert "\n" not in str(error)


def test_a_section_at_the_end_of_the_address_space_is_refused(syms):
    data = bytearray(syms.read_bytes())
    sections = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<Q", data, sections + 64 + 16, 2**64 - 1)
    with pytest.raises(Malformed, match="past the last address"):
        hypervisor_space(bytes(data))


def test_no_end_of_code_to_follow_is_an_error(syms, monkeypatch):
    monkeypatch.setattr("xensave.binaries.trace.MAX_TOTAL", 10)
    monkeypatch.setattr("xensave.binaries.trace.MAX_STEPS", 5)
    with pytest.raises(LimitExceeded, match="instructions to follow"):
        read_hypervisor(syms)


def test_debian_xen_syms_agrees_with_the_catalogue():
    path = next((path for path in XEN_SYMS if path.is_file()), None)
    if path is None:
        pytest.skip("NOT TESTED against a real hypervisor: set XENSAVE_XEN_SYMS to a 4.17 xen-syms")
    space = read_hypervisor(path)
    assert space.version.startswith("4.17")
    assert (space.table_entries, space.entry_size) == (21, 40)
    headers = release("4.17")
    assert (headers.table_entries, headers.entry_size) == (21, 40)
    registered = {b.name: b for b in headers.bindings if b.name not in ("HEADER", "END")}
    assert {r.name for r in space.records} == set(registered)
    for record in space.records:
        binding = registered[record.name]
        assert (record.typecode, record.kind) == (binding.typecode, binding.kind)
        assert (record.save, record.load) == (binding.save, binding.handler)
        found = layout(binding.layout)
        if not found.flexible:
            assert (record.size, record.instances) == (found.size, binding.instances)
    # The two whose length varies: x87 to PKRU areas follow 24 bytes, and 16 a MSR follow 8.
    by_name = {record.name: record for record in space.records}
    area = next(f for f in layouts_of("CPU_XSAVE")[-1].fields if f.name == "save_area")
    assert (by_name["CPU_XSAVE"].size, by_name["CPU_XSAVE"].fixed) == (None, area.offset)
    msr = next(f for f in layouts_of("CPU_MSR")[-1].fields if f.name == "msr")
    assert by_name["CPU_MSR"].registered == by_name["CPU_MSR"].size + DESCRIPTOR
    assert (by_name["CPU_MSR"].size - msr.offset) % 16 == 0
