"""Images: what is found in real ones, in synthetic ones, in pipes, and in broken ones."""

import io
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import zstandard

import xensave
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import PageData
from xensave.container.walk import walk
from xensave.context import AbsentRecord
from xensave.engine import Depends
from xensave.errors import LimitExceeded, Malformed, Truncated, UsageError
from xensave.image import tally as tally_module
from xensave.image.facts import pages as pages_module
from xensave.image.input import JudgedInput
from xensave.image.subjects import all_subjects, find_subjects
from xensave.source import open_source
from xensave.testing import streams
from xensave.toolstack.judge import Judge

ROOT = Path(__file__).parents[2]
HVM = ROOT / "examples" / "hvm1.img.zst"
SHARED = ROOT.parent / "shared" / "data" / "images"


def stream(*records, type_=libxc.HVM, major=4, minor=17):
    domain = libxc.DomainHeader(type_, xen_major=major, xen_minor=minor)
    return b"".join(
        [libxc.ImageHeader().to_bytes(), domain.to_bytes(), *records, pack_record(libxc.END)]
    )


def wrapped(inner, *records, config=b"{}"):
    """An xl image around a libxc stream, with libxl records after it."""
    return streams.xl_image(streams.libxl_stream(inner, b"".join(records)), config + b"\0")


@pytest.fixture(scope="module")
def context():
    return (ROOT / "examples" / "hvm1.ctx").read_bytes()


def test_a_real_hvm_guest():
    with xensave.open(HVM) as image:
        assert image.containers == ("xl", "libxl v2", "libxc v3", "HVM context")
        assert (image.guest, image.type, image.xen, image.vcpus) == ("hvm1", "hvm", "4.17", 1)
        assert (image.configured_memory, image.pages, image.size) == (16 << 20, 4092, 25_146_467)
        assert image.params[1] == 0xFEFFC
        assert image.tsc_info is not None
        assert image.tsc_info.khz == 2_299_999
        assert image.msr_policy == {0xCE: 0x80000000, 0x10A: 0}
        assert image.cpuid_policy[0].b.to_bytes(4, "little") == b"Auth"
        (emulator,) = image.emulators
        assert emulator[:6] == ("QEMU upstream", 0, "QEMU migration stream", 3, 6133, ())
        assert image.context["CPU", 0].rip == 0xB7B9
        assert image.context["VIRIDIAN_VCPU"].layout.size == 216
        assert sum(count.records for count in image.counts) == 1030


@pytest.mark.skipif(not SHARED.is_dir(), reason="the larger samples are not here")
@pytest.mark.parametrize(
    ("name", "type_", "xen", "memory", "pages"),
    [
        ("xen413-pvh1", "pvh", "4.13", 32, 8144),
        ("xen417-pvh1", "pvh", "4.17", 32, 8144),
        ("xen421-pvh1", "pvh", "4.21", 32, 8142),
        ("xen417-pv1", "pv", "4.17", 64, 16384),
    ],
)
def test_real_guests(name, type_, xen, memory, pages):
    with xensave.open(SHARED / f"{name}.img.zst") as image:
        assert (image.type, image.xen, image.vcpus) == (type_, xen, 1)
        assert (image.configured_memory, image.pages) == (memory << 20, pages)
        guest = json.loads((SHARED / f"{name.split('-')[1]}.list.json").read_text())[0]
        assert image.guest == guest["config"]["c_info"]["name"]
        for subject in all_subjects(image):
            assert subject.layout is not None or subject.name in ("SHARED_INFO", "END")
            assert subject.tail == b"" or subject.layout is None or subject.name == "CPU_XSAVE"
        if type_ == "pv":
            with pytest.raises(AbsentRecord):
                _ = image.context
        else:
            assert image.context.release == xen


def test_a_pipe_is_read_once():
    data = zstandard.ZstdDecompressor().stream_reader(HVM.open("rb")).read()
    read, write = os.pipe()
    writer = os.fork()
    if writer == 0:
        os.close(read)
        with os.fdopen(write, "wb") as out:
            out.write(data)
        os._exit(0)
    os.close(write)
    try:
        with xensave.open(read) as image:
            assert image.vcpus == 1
            assert image.context["CPU"].rip == 0xB7B9
            with pytest.raises(UsageError, match="once"):
                next(image.events())
    finally:
        os.close(read)
        os.waitpid(writer, 0)


def test_a_file_can_be_walked_again():
    with xensave.open(HVM) as image:
        assert image.pages == 4092
        assert sum(event.name == "PAGE_DATA" for event in image.events()) == 1020
    with xensave.open(ROOT / "examples" / "hvm1.ctx") as image:
        first = [event.length for event in image.events()]
        assert first == [event.length for event in image.events()] == [4376]


def test_any_binary_file(context):
    with xensave.open(io.BytesIO(context), release="RELEASE-4.17.7") as image:
        assert image.release == "4.17"
        assert image.xen is None
        assert image.type == "hvm"
        assert image.context.to_bytes() == image.context_bytes == context
    assert xensave.open(context).release is None
    with pytest.raises(UsageError, match=r"no release '9\.9'"):
        xensave.open(context, release="9.9")


def test_an_unknown_release_falls_back_to_lengths(context):
    data = stream(pack_record(libxc.HVM_CONTEXT, context), major=9, minor=9)
    with xensave.open(data) as image:
        assert (image.xen, image.release) == ("9.9", None)
        assert image.context["RTC"].rtc_offset == 0


def test_the_last_checkpoint_counts(context):
    older = context.replace(b"\xb9\xb7", b"\x11\x11")
    data = stream(
        pack_record(libxc.HVM_CONTEXT, older),
        pack_record(libxc.CHECKPOINT),
        pack_record(libxc.HVM_CONTEXT, context),
        pack_record(libxc.CHECKPOINT),
    )
    with xensave.open(data) as image:
        assert image.tally.checkpoints == 2
        assert image.context.to_bytes() == context
        assert image.tally.counts["libxc", libxc.HVM_CONTEXT].records == 2
        assert len(image.tally.all("libxc", libxc.HVM_CONTEXT)) == 1


def test_emulators_of_every_kind(context):
    def state(number, data):
        return pack_record(
            libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(number, 7).to_bytes() + data
        )

    keys = libxl.EmulatorHeader(2, 7).to_bytes() + libxl.pack_xenstore([("a/b", "c\x1b[31m")])
    data = wrapped(
        stream(pack_record(libxc.HVM_CONTEXT, context)),
        pack_record(libxl.EMULATOR_XENSTORE_DATA, keys),
        state(2, b"QEVM\0\0\0\3rest"),
        state(1, b"QemuDeviceModelRecord"),
        state(9, b"what"),
    )
    with xensave.open(data) as image:
        found = {emulator.kind: emulator for emulator in image.emulators}
        assert found["QEMU upstream"].version == 3
        assert found["QEMU upstream"].xenstore == (("a/b", "c\x1b[31m"),)
        assert found["QEMU traditional"].format == "QemuDeviceModelRecord"
        assert found["emulator 0x9"].format == "unknown"


def test_broken_parts_say_where(context):
    short = wrapped(stream(), pack_record(libxl.EMULATOR_CONTEXT, b"abc"))
    with pytest.raises(Malformed) as caught:
        _ = xensave.open(short).emulators
    assert caught.value.offset is not None
    with pytest.raises(Malformed, match="JSON"):
        _ = xensave.open(wrapped(stream(), config=b"{nonsense")).guest
    with pytest.raises(Malformed, match="24 expected") as caught:
        _ = xensave.open(stream(pack_record(libxc.X86_TSC_INFO, bytes(8)))).tsc_info
    assert (caught.value.record, caught.value.offset) == ("libxc X86_TSC_INFO", 24 + 16)
    broken = xensave.open(stream(pack_record(libxc.HVM_CONTEXT, context[:100])))
    with pytest.raises(Truncated) as cut:
        _ = broken.context
    assert cut.value.offset == 24 + 16 + 8 + 32


def test_a_config_that_is_no_object():
    for config in (b"[1]", b"name = 'x'", b'{"c_info": 3}', b'{"c_info": {"name": 5}}'):
        assert xensave.open(wrapped(stream(), config=config)).guest is None


def test_records_that_are_kept_are_limited(monkeypatch):
    monkeypatch.setattr(tally_module, "KEEP_LIMIT", 10_000)
    data = stream(*[pack_record(libxc.X86_TSC_INFO, bytes(24))] * 30)
    with pytest.raises(LimitExceeded, match="X86_TSC_INFO"):
        _ = xensave.open(data).vcpus


def test_every_cut_is_an_error(context):
    data = wrapped(stream(pack_record(libxc.HVM_CONTEXT, context)))
    for length in range(49, len(data), 13):
        with pytest.raises((Truncated, Malformed)):
            _ = xensave.open(data[:length]).vcpus


def test_subjects(context):
    data = wrapped(stream(pack_record(libxc.HVM_PARAMS, bytes(8)), pack_record(9, context)))
    image = xensave.open(data)
    assert [s.label for s in find_subjects(image, "pic")] == ["PIC[0]", "PIC[1]"]
    assert [s.label for s in find_subjects(image, "PIC:1")] == ["PIC[1]"]
    assert [s.label for s in find_subjects(image, "3:1")] == ["PIC[1]"]
    assert [s.label for s in find_subjects(image, "0x3")] == ["PIC[0]", "PIC[1]"]
    assert [s.label for s in find_subjects(image, "HVM_PARAMS")] == ["HVM_PARAMS"]
    assert [s.label for s in find_subjects(image, "10")] == ["PIT[0]"]
    assert [s.label for s in find_subjects(image, "libxc/10")] == ["HVM_PARAMS"]
    for spec in ("CPU:1", "CPU_MSR", "99", "libxc/CPU"):
        with pytest.raises(AbsentRecord):
            find_subjects(image, spec)
    for spec in ("NONSENSE", "CPU:x", "", "a/b/c", "CPU:1:2"):
        with pytest.raises(UsageError):
            find_subjects(image, spec)


def test_page_contents_are_not_asked_for(tmp_path):
    """Pages lie in a hole of a sparse file: reading them would take memory that is not there."""
    script = (
        "import sys, xensave\n"
        "image = xensave.open(sys.argv[1])\n"
        "assert image.pages == 262144 - 256, image.pages\n"
        "status = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "assert int(status['VmHWM'].split()[0]) < 64 << 10, status['VmHWM']\n"
    )
    pages = 1024 - 1
    head = (8 + 8 * pages + 4096 * pages).to_bytes(4, "little")
    record = libxc.PAGE_DATA.to_bytes(4, "little") + head + pages.to_bytes(8, "little")
    body = stream()
    path = tmp_path / "sparse.img"
    with path.open("wb") as out:
        out.write(body[:40])
        for _ in range(256):
            out.write(record)
            out.seek(8 * pages + 4096 * pages, os.SEEK_CUR)
        out.write(body[40:])
    subprocess.run([sys.executable, "-c", script, path], check=True)


@pytest.mark.parametrize("few", [0, 1 << 12])
@pytest.mark.parametrize("every", [1, 7, 1 << 16])
def test_pages_are_those_of_all_records_however_often_runs_are_joined(monkeypatch, every, few):
    monkeypatch.setattr(pages_module, "FEW_RUNS", few)
    monkeypatch.setattr(pages_module, "_MERGE_EVERY", every)
    random = Random(every)
    listed = [random.sample(range(400), random.randint(1, 9)) for _ in range(30)]
    records = [
        pack_record(libxc.PAGE_DATA, PageData(tuple(pfns)).to_bytes() + bytes(4096 * len(pfns)))
        for pfns in listed
    ]
    with xensave.open(stream(*records)) as image:
        pages = image.facts.pages
    populated = {pfn for pfns in listed for pfn in pfns}
    assert {pfn for first, last in pages.runs for pfn in range(first, last + 1)} == populated
    assert [pages.has(pfn) for pfn in range(401)] == [pfn in populated for pfn in range(401)]
    assert (pages.populated, pages.records) == (len(populated), 30)
    assert all(one[1] + 1 < next_[0] for one, next_ in pairwise(pages.runs))


def test_what_is_too_much_to_remember_is_not_judged(monkeypatch):
    guest = streams.page_data(range(0, 10, 2)) + streams.hvm_tail("4.17")
    saved = streams.xl_image(streams.libxl_stream(streams.libxc_stream(guest)))
    wanted = "whether the guest's pages fit: too many are scattered or of other types"

    def depends():
        with xensave.open(saved) as image:
            verdict = Judge(["4.17"]).judge(JudgedInput("input", None, None, image), "4.17")
        return verdict.depends if isinstance(verdict, Depends) else ()

    assert wanted not in depends()
    monkeypatch.setattr(pages_module, "_RUNS_LIMIT", 4)
    assert wanted in depends()


def test_runs_are_joined_as_seldom_as_they_double(monkeypatch):
    monkeypatch.setattr(pages_module, "_MERGE_EVERY", 8)
    joined = []
    original = pages_module.PfnRuns.merged
    monkeypatch.setattr(
        pages_module.PfnRuns, "merged", lambda runs: (joined.append(len(runs)), original(runs))[1]
    )
    pfns = Random(1).sample(range(0, 8000, 2), 4000)
    apart = [pack_record(libxc.PAGE_DATA, PageData((0xE << 60 | n,)).to_bytes()) for n in pfns]
    with xensave.open(stream(*apart)) as image:
        assert image.facts.pages.populated == 4000
    assert 8 <= len(joined) <= 12
    assert sum(joined) < 4 * 4000


def test_facts_do_not_grow_with_what_comes_later():
    tally = pages_module.PageTally()
    early, late = (
        pack_record(libxc.PAGE_DATA, PageData((0xE << 60 | n, n + 1)).to_bytes()) for n in (4, 9)
    )
    events = [
        event for event in walk(open_source(stream(early, late))) if event.name == "PAGE_DATA"
    ]
    tally.add(events[0])
    before = tally.facts
    first = (list(before.runs), dict(before.types))
    tally.add(events[1])
    assert (list(before.runs), dict(before.types)) == first == ([(4, 5)], {4: 14})
    assert list(tally.facts.runs) == [(4, 5), (9, 10)]


def test_more_runs_than_can_be_remembered_are_no_facts(monkeypatch):
    monkeypatch.setattr(pages_module, "_RUNS_LIMIT", 4)
    apart = [pack_record(libxc.PAGE_DATA, PageData((2 * n,)).to_bytes()) for n in range(5)]
    with xensave.open(stream(*apart)) as image:
        assert image.facts.pages is None
    with xensave.open(stream(*apart[1:])) as image:
        assert image.facts.pages.populated == 4
