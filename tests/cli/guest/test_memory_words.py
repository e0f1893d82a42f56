"""`xensave memory`: words that have no answer, and what is said to them."""

import pytest

from tests.memory.samples import HVM, page, record
from xensave.cli import main
from xensave.testing import streams

CONTEXT = "examples/hvm1.ctx"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    body = record((0, page(1)), (1, page(2)), (3, page(3))) + streams.hvm_tail("4.17")
    path = tmp_path_factory.mktemp("memory") / "image"
    path.write_bytes(streams.libxc_stream(body, "4.17"))
    return str(path)


def told(capsys, *words):
    code = main(["memory", *words])
    out, err = capsys.readouterr()
    return code, out, err.removeprefix("xensave memory: ")


@pytest.mark.parametrize("text", ["0xzz", "0x", "0x123", "0XG0", "0x7f 45"])
def test_what_begins_as_bytes_and_is_none_is_refused(text, image, capsys):
    code, out, err = told(capsys, image, "--find", text)
    assert (code, out) == (2, "")
    assert (
        err == f"{text}: bytes are 0x and two digits for each; to find that text write /{text}/\n"
    )


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("zz", "the text is"),
        ("/bin", "the text is"),
        ("0xabcd", "the bytes are"),
        ("/z{3}/", "the expression is"),
    ],
)
def test_what_is_nowhere_is_told_as_what_it_was_taken(pattern, kind, image, capsys):
    expected = (1, "", f"{image}: {kind} nowhere: {pattern}\n")
    assert told(capsys, image, "--find", pattern) == expected
    assert told(capsys, image, "--find", pattern, "--json") == expected


@pytest.mark.parametrize(("pattern", "hits"), [("0x0202", 2048), ("/\\x02+/", 1), ("\2\2\2", 1365)])
def test_what_is_there_is_listed_as_by_grep(pattern, hits, image, capsys):
    code, out, err = told(capsys, image, "--find", pattern)
    assert (code, err, len(out.splitlines())) == (0, "", hits)


@pytest.mark.parametrize("pattern", ["", "/a*/", "/(/"])
def test_a_pattern_of_nothing_or_of_nonsense(pattern, image, capsys):
    assert told(capsys, image, "--find", pattern)[:2] == (2, "")


@pytest.mark.parametrize("option", ["--pfn", "--physical", "--virtual"])
@pytest.mark.parametrize("number", ["-1", "0x10000000000000000"])
def test_no_number_of_64_bits(option, number, image, capsys):
    message = f"argument {option}: must be from 0 to 0xffffffffffffffff: '{number}'\n"
    assert told(capsys, image, f"{option}={number}") == (2, "", message)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--pfn", "2"], 1, "the image has no contents of frame 0x2"),
        (["--pfn", "0xfffffffffffffff"], 1, "no contents of frame 0xfffffffffffffff"),
        (["--physical", "0x1ff0", "--length", "17"], 1, "no contents of frame 0x2"),
        (["--physical", "0x3fff", "--length", "2"], 1, "no contents of frame 0x4"),
        (
            ["--pfn", "0", "--length", "129M"],
            2,
            "--length is at most 128 MiB; extract takes out all",
        ),
        (["--pfn", "0", "--length", "0"], 2, "argument --length: must be 1 or more: '0'"),
        (["--virtual", "0", "--vcpu", "99"], 1, "holds no registers of vCPU 99; it has those of 0"),
        (["--find", "x", "--vcpu", "99"], 1, "holds no registers of vCPU 99; it has those of 0"),
        (["--virtual", "0", "--vcpu=-1"], 2, "argument --vcpu: must be from 0"),
        (["--vcpu", "0"], 2, "--vcpu goes with --virtual or --find"),
        (["--hex"], 2, "--hex goes with --pfn, --physical or --virtual"),
        (["--find", "x", "--length", "3"], 2, "--length goes with --pfn, --physical or --virtual"),
        (["--pfn", "0", "--plot", "x.svg"], 2, "--plot and --no-contents are for the map"),
    ],
)
def test_places_that_are_none(words, code, message, image, capsys):
    answered, out, err = told(capsys, image, *words)
    assert (answered, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_without_paging_a_virtual_address_is_physical(capfdbinary):
    for option in ("--virtual", "--physical"):
        assert main(["memory", str(HVM), option, "0xffff0", "--length", "1"]) == 0
        assert capfdbinary.readouterr().out == b"\xea"
    assert main(["memory", str(HVM), "--virtual", "0x100000000"]) == 1
    assert b"it is no address of 32 bits" in capfdbinary.readouterr().err


@pytest.mark.parametrize("words", [[], ["--pfn", "0"], ["--find", "x"], ["--json"]])
def test_a_context_alone_holds_no_memory(words, capsys):
    code, _, err = told(capsys, CONTEXT, *words)
    assert (code, err) == (1, f"{CONTEXT}: holds no memory\n")
    assert main(["extract", CONTEXT, "/dev/null"]) == 1
    assert capsys.readouterr().err == f"xensave extract: {CONTEXT}: holds no memory\n"


def test_drgn_has_nothing_to_read_in_a_context(capsys):
    pytest.importorskip("drgn")
    for words in ([], ["vmlinux"]):
        assert main(["drgn", CONTEXT, *words]) == 1
        assert capsys.readouterr().err == f"xensave drgn: {CONTEXT}: holds no memory\n"
