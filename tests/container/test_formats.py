"""A format is one class: what stands beside it is there, and a new one takes no other change."""

import gzip
import re
import sys
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

from xensave.cli import main
from xensave.container import formats, walk
from xensave.container.description import GuestDescription
from xensave.container.events import RECORD, Event
from xensave.container.format import Format
from xensave.container.probe import HEAD_SIZE, probe
from xensave.container.reading import read_header
from xensave.container.streams.libxc import LIBXC_FORMAT
from xensave.container.streams.libxl import EMULATOR_CONTEXT, QEMU_UPSTREAM, EmulatorHeader
from xensave.errors import Malformed, Unsupported, UsageError
from xensave.findings import ERROR
from xensave.image import open_image
from xensave.rules.stream.model import Check, Fault, StreamRule
from xensave.rules.stream.table import checks, rules
from xensave.source import MemorySource, open_source
from xensave.testing.frames import plain_stream
from xensave.testing.streams import context, hvm_image

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("known", list(formats.FORMATS), ids=lambda known: known.name)
def test_each_format_has_rules_and_a_page(known):
    assert any(check.layer == known.name for check in checks()), (
        f"CHECKS of src/xensave/rules/stream/formats/{known.name}.py has none of this format"
    )
    assert f"`{known.name}`" in (ROOT / known.page).read_text(), f"{known.page} does not name it"


def test_names_and_layers_are_of_one_format_each():
    names = formats.format_names()
    assert len(set(names)) == len(names)
    with pytest.raises(UsageError, match="no format is called 'elf'"):
        formats.format_named("elf")


NAME, STREAM, MODEL, DISK, LAST = 1, 2, 3, 4, 9


class ToyHeader:
    about = "a toy"
    begins = "toy"
    version = None

    def __init__(self, data=b"TOYTOY"):
        assert data == b"TOYTOY"

    def to_bytes(self):
        return b"TOYTOY"

    def __eq__(self, other):
        return isinstance(other, ToyHeader)

    __hash__ = None


class Toy(Format):
    """A magic, then records: a type and a length of a byte each; a libxc stream follows STREAM."""

    name = "toy"
    title = "a toy"
    magics = (b"TOYTOY",)
    records = MappingProxyType(
        {NAME: "NAME", STREAM: "STREAM", MODEL: "MODEL", DISK: "DISK", LAST: "LAST"}
    )
    page = "docs/toy.md"
    trailer = False
    inner = "libxc"
    demands = "the guest's name"
    device_model = MODEL
    model_head = EmulatorHeader(QEMU_UPSTREAM, 0).to_bytes()
    marks = (STREAM, LAST)

    def walk(self, source, *, stored=False):
        yield read_header(source, "toy", "header", size=6, parse=ToyHeader)
        type_ = None
        while type_ != LAST:
            raw = source.read(2)
            type_, length = raw
            event = Event(
                source, "toy", RECORD, self.records[type_], raw,
                length=length, type_=type_, padded=False,
            )  # fmt: skip
            yield event
            event.finish()
            if type_ == STREAM:
                yield from LIBXC_FORMAT.walk(source)

    def pack(self, type_, body=b""):
        return bytes((type_, len(body))) + body

    def front(self, metadata, options=0):
        return self.magics[0] + self.pack(NAME, metadata) + self.pack(STREAM)

    def back(self):
        return self.pack(LAST)

    def describes(self, event):
        return event.is_record("toy", NAME)

    def describe(self, body):
        text = body.decode()
        return GuestDescription({"c_info": {"name": text, "type": "hvm"}}, text)

    def detail(self, type_, body, length):
        return ("disk", body.decode()) if type_ == DISK else None


LONG = StreamRule("TOY_NAME_SHORT", ERROR, "Names of toys are short.")


def short(event, _):
    if event.length > 3:
        yield Fault(LONG, f"a name of {event.length} letters", event.body_offset)


def toy_image(name=b"Bob"):
    toy = Toy()
    devices = toy.pack(DISK, b"puzzle") + toy.pack(MODEL, b"QEVM\0\0\0\3")
    return toy.front(name) + plain_stream() + devices + toy.back()


def records_of(path):
    return [event.name for event in walk(open_source(path)) if event.layer == "toy"]


@pytest.fixture
def toy(monkeypatch):
    table = ModuleType("toy")
    table.CHECKS = (Check("toy", (NAME,), short, (LONG,)),)
    monkeypatch.setitem(sys.modules, "xensave.rules.stream.formats.toy", table)
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, Toy()))


@pytest.fixture
def run(toy, tmp_path, monkeypatch, capsys):
    """Run a command below a directory with the file `toy` in it; return its status and output."""
    monkeypatch.chdir(tmp_path)
    Path("toy").write_bytes(toy_image())

    def run(*words):
        status = main([*words])
        return status, capsys.readouterr().out

    return run


@pytest.mark.usefixtures("toy")
def test_a_new_format_is_told_and_walked():
    data = toy_image()
    assert probe(data[:HEAD_SIZE]) == "toy"
    assert records_of(data) == ["header", "NAME", "STREAM", "DISK", "MODEL", "LAST"]
    with open_image(data) as image:
        assert image.containers == ("toy", "libxc v3", "HVM context")
        assert image.guest == "Bob"
        assert [(model.kind, model.version) for model in image.emulators] == [("QEMU upstream", 3)]


def test_a_new_format_is_shown(run):
    status, out = run("show", "toy")
    assert status == 0
    assert re.search(r"guest +Bob\b.*HVM", out)
    assert re.search(r"disk +puzzle\n", out)
    assert re.search(r"emulator +QEMU upstream", out)
    status, out = run("show", "--input-format", "toy", "--record", "CPU", "toy")
    assert status == 0
    assert "rip" in out


def test_a_new_format_is_verified_by_rules_of_its_own(run):
    assert LONG in rules()
    assert run("verify", "toy")[0] == 0
    Path("toy").write_bytes(toy_image(b"Roberta"))
    status, out = run("verify", "toy")
    assert status == 1
    assert "toy NAME: error: a name of 7 letters [TOY_NAME_SHORT]" in out
    assert "TOY_NAME_SHORT" in run("verify", "--rules")[1]


def test_a_guest_in_a_new_format_is_judged(run):
    status, out = run("check", "toy", "--target", "4.17", "--target", "4.4")
    assert status == 1
    assert "toy: Xen 4.17: restores" in out
    assert re.search(r"toy: Xen 4\.4: refused at libxc header: the stream has version 3", out)


def test_a_new_format_is_converted_and_converted_to(run):
    assert run("convert", "toy", "new", "--target", "4.19")[0] == 0
    assert records_of("new") == ["header", "NAME", "STREAM", "DISK", "MODEL", "LAST"]
    # The disk has no place in libxl's stream; the device model's state has.
    libxl = ("convert", "toy", "to-libxl", "--target", "4.17", "--to", "libxl")
    assert run(*libxl)[0] == 1
    assert run(*libxl, "--allow-loss")[0] == 0
    models = [event for event in walk(open_source("to-libxl")) if event.type == EMULATOR_CONTEXT]
    assert [bytes(event.body())[8:] for event in models if event.layer == "libxl"] == [
        b"QEVM\0\0\0\3"
    ]
    Path("name").write_bytes(b"Eve")
    toy = ("convert", "to-libxl", "back", "--target", "4.17", "--to", "toy")
    assert run(*toy)[0] == 1
    assert run(*toy, "--config", "name")[0] == 0
    assert records_of("back") == ["header", "NAME", "STREAM", "MODEL", "LAST"]
    with open_image("back") as image:
        assert image.guest == "Eve"
        assert [model.version for model in image.emulators] == [3]


@pytest.mark.usefixtures("toy")
def test_a_format_without_rules_or_page_is_told(monkeypatch):
    with pytest.raises(FileNotFoundError):
        test_each_format_has_rules_and_a_page(formats.FORMATS[-1])
    monkeypatch.delitem(sys.modules, "xensave.rules.stream.formats.toy")
    monkeypatch.setattr(formats, "FORMATS", (Toy(),))
    with pytest.raises(ModuleNotFoundError):
        checks()


def test_a_context_is_told_whatever_length_its_header_claims():
    whole = context("4.17")
    claims_none = whole[:4] + bytes(4) + whole[8 + 24 :]
    too_long = whole[:4] + b"\xff" * 4 + whole[8:]
    for data in (whole, claims_none, too_long, whole[:12]):
        assert probe(data[:HEAD_SIZE]) == "hvm"


@pytest.mark.parametrize("cut", range(12))
def test_a_beginning_of_nothing_is_no_format(cut):
    with pytest.raises(Malformed, match="no Xen save image"):
        probe(context("4.17")[:cut])


def test_every_format_is_told_by_its_first_bytes_alone():
    image = hvm_image()
    starts = {event.layer: event.offset for event in reversed(list(walk(MemorySource(image))))}
    assert set(starts) == {"xl", "libxl", "libxc"}
    for layer, start in starts.items():
        assert probe(image[start : start + HEAD_SIZE]) == layer


@pytest.mark.parametrize(
    ("head", "title"),
    [
        (b"PK\x03\x04\x14\0\0\0\0\0" + b"1bz]" * 12, "a zip archive"),
        (b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8" + bytes(40), "a program of Windows"),
    ],
)
def test_what_begins_like_a_legacy_stream_and_is_none(head, title):
    """The first words of both could be a P2M's size and the pages of a batch."""
    with pytest.raises(Malformed, match=title):
        probe(head)


def test_a_legacy_batch_lists_frames_that_there_are():
    size, batch = (64).to_bytes(8, "little"), (3).to_bytes(4, "little")
    frames = [word.to_bytes(8, "little") for word in (0, 1, 63)]
    assert probe(size + batch + b"".join(frames)) == "legacy"
    for wrong in ([0, 1, 64], [0, 1, 1]):
        head = size + batch + b"".join(word.to_bytes(8, "little") for word in wrong)
        with pytest.raises(Malformed):
            probe(head)


def test_compressed_twice_is_told():
    with pytest.raises(Unsupported, match="compressed once more, by gzip"):
        probe(gzip.compress(b"LibxlFmt"))
