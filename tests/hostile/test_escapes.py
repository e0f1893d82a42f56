"""Text that a guest or a sender chose never reaches a terminal as it is."""

import json

import pytest

from xensave.cli import main
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.engine import Accepted, Depends, Refused
from xensave.testing import streams
from xensave.toolstack.releases.series import Answer, SeriesVerdict
from xensave.views.answers.verdicts import series_line, verdict_line

EVIL = (
    "\x1b[2J\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r\x08over",
    "new\nline",
    "\u202eright to left",
    "\u2028line separator",
    "\x7f\x00",
)
WITHOUT_NUL = tuple(text.replace("\0", "") for text in EVIL)
STREAM = streams.libxc_stream(streams.hvm_tail("4.17"))


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize(
    "verdict",
    [
        lambda evil: Refused("RULE", evil),
        lambda evil: Refused("RULE", "reason", record=evil),
        lambda evil: Depends(loaded=1, depends=(evil,)),
    ],
)
def test_what_a_verdict_quotes_is_escaped(verdict, evil):
    """A rule may quote a member of a configuration, whose name is the guest's."""
    answers = Answer(("4.17.0",), verdict(evil)), Answer(("4.17.1",), Accepted(loaded=1))
    lines = [verdict_line("a.img", "4.17", verdict(evil))]
    lines.append(series_line("a.img", SeriesVerdict("4.17", answers)))
    for line in lines:
        assert line.isprintable(), line


def image(name, key="key", value="value"):
    config = json.dumps({"c_info": {"name": name}}, ensure_ascii=False).encode()
    emulator = streams.emulator([(key, value)])
    return streams.xl_image(streams.libxl_stream(STREAM, emulator), config + b"\0")


@pytest.fixture
def run(tmp_path, capsys):
    def call(data, *words, name="image"):
        path = tmp_path / name
        path.write_bytes(data)
        main([*words, str(path)])
        return "".join(capsys.readouterr())

    return call


def harmless(text):
    return text.replace("\n", "").isprintable()


COMMANDS = (
    ["show"],
    ["show", "--all"],
    ["verify", "-v"],
    ["check", "--target", "4.17"],
    ["check", "--target", "4.17", "--json"],
    ["convert", "--target", "4.13", "--dry-run"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("evil", WITHOUT_NUL, ids=ascii)
class TestText:
    def test_guest_name(self, run, words, evil):
        out = run(image(evil), *words)
        assert harmless(out)
        if words == ["show"]:
            assert out.count("\n  guest ") == 1

    def test_xenstore_key(self, run, words, evil):
        assert harmless(run(image("guest", key=evil), *words))

    def test_xenstore_value(self, run, words, evil):
        assert harmless(run(image("guest", value=evil), *words))

    def test_file_name(self, run, words, evil):
        assert harmless(run(image("guest"), *words, name=f"{evil}.img"))

    def test_name_of_a_broken_file(self, run, words, evil):
        assert harmless(run(image("guest")[:200], *words, name=f"{evil}.img"))


@pytest.mark.parametrize("words", [["show", "--json"], ["show", "--all", "--json"]], ids=" ".join)
@pytest.mark.parametrize("evil", WITHOUT_NUL, ids=ascii)
def test_json_is_ascii_and_whole(run, words, evil):
    out = run(image(evil, key=evil, value=evil), *words)
    assert out.isascii()
    assert harmless(out)
    assert json.loads(out)["guest"] == evil


@pytest.mark.parametrize("evil", WITHOUT_NUL, ids=ascii)
def test_json_findings_are_ascii(run, evil):
    out = run(image("guest", key=evil), "verify", "--json")
    assert out.isascii()
    assert harmless(out)
    assert json.loads(out)["findings"]


def test_bytes_that_are_no_text(run):
    body = libxl.EmulatorHeader(2, 0).to_bytes() + b"\xff\xfe\x1b\0\x80\0"
    record = pack_record(libxl.EMULATOR_XENSTORE_DATA, body)
    data = streams.libxl_stream(STREAM, record)
    for words in COMMANDS:
        assert harmless(run(data, *words))
    assert run(data, "show", "--json").isascii()


def test_a_magic_of_control_characters_is_shown_as_hex(run):
    out = run(b"\x1b[31mred" * 8, "show")
    assert harmless(out)
    assert "1b 5b 33 31" in out


def test_unknown_records_are_shown_as_hex(run):
    record = pack_record(libxc.TOOLSTACK, "\x1b[31m\u202e".encode())
    data = streams.libxc_stream(record)
    assert harmless(run(data, "show", "--all"))
    assert harmless(run(data, "verify", "-v"))
