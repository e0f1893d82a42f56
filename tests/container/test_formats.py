"""A format is one class: what stands beside it is there, and a new one takes no other change."""

import gzip
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xensave.container import formats, walk
from xensave.container.events import RECORD, Event
from xensave.container.format import Format
from xensave.container.probe import HEAD_SIZE, probe
from xensave.errors import Malformed, Unsupported, UsageError
from xensave.findings import ERROR
from xensave.image import open_image
from xensave.rules.stream import verify
from xensave.rules.stream.model import Check, Fault, Rule
from xensave.rules.stream.table import checks, rules
from xensave.source import MemorySource
from xensave.testing.streams import context, hvm_image

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("known", formats.FORMATS, ids=lambda known: known.name)
def test_each_format_has_rules_and_a_page(known):
    assert any(check.layer == known.name for check in checks())
    assert f"`{known.name}`" in (ROOT / known.page).read_text()


def test_names_and_layers_are_of_one_format_each():
    names = formats.format_names()
    assert len(set(names)) == len(names)
    with pytest.raises(UsageError, match="no format is called 'elf'"):
        formats.format_named("elf")


class Toy(Format):
    """A magic, then records of one byte, the last of which is zero."""

    name = "toy"
    title = "a toy"
    magics = (b"TOYTOY",)
    records = {1: "ONE"}  # noqa: RUF012 - never changed
    page = "docs/toy.md"

    def walk(self, source):
        source.skip(len(self.magics[0]))
        while number := source.read(1)[0]:
            yield Event(source, "toy", RECORD, f"record {number}", memoryview(b"x"), type_=number)


ODD = Rule("TOY_RECORD_ODD", ERROR, "Numbers of toys are odd.")


def odd(event, _):
    if event.type % 2 == 0:
        yield Fault(ODD, f"number {event.type}")


@pytest.fixture
def toy(monkeypatch):
    table = ModuleType("toy")
    table.CHECKS = (Check("toy", None, odd, (ODD,)),)
    monkeypatch.setitem(sys.modules, "xensave.rules.stream.formats.toy", table)
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, Toy()))


@pytest.mark.usefixtures("toy")
def test_a_new_format_is_read_counted_and_verified():
    data = b"TOYTOY\1\2\1\0"
    assert probe(data) == "toy"
    assert [event.type for event in walk(MemorySource(data))] == [1, 2, 1]
    assert ODD in rules()
    assert [finding.message for finding in verify(MemorySource(data))] == ["number 2"]
    with open_image(data) as image:
        assert [(count.layer, count.records) for count in image.counts] == [("toy", 2), ("toy", 1)]


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
