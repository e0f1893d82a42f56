"""A record of any length is shown in pieces: no view holds the text of all of it."""

import json
import random
import struct
import sys
import tracemalloc
from pathlib import Path

import pytest

from xensave.cli import main
from xensave.records.json_text import json_pieces

SAMPLE = Path("examples/pvh1.ctx")
LENGTH = 12 << 20
CPU_XSAVE = 16


@pytest.fixture(params=[99, CPU_XSAVE], ids=["unknown", "CPU_XSAVE"])
def long(request, tmp_path):
    data = SAMPLE.read_bytes()
    body = bytes(24) + random.Random(1).randbytes(LENGTH - 24)
    record = struct.pack("<HHI", request.param, 0, LENGTH) + body
    path = tmp_path / "long.ctx"
    path.write_bytes(data[:-8] + record + data[-8:])
    return path, body


@pytest.mark.parametrize(
    "words",
    [
        ["show", "--all"],
        ["show", "--all", "--json"],
        ["diff", "--json", str(SAMPLE)],
        ["decode"],
    ],
    ids=" ".join,
)
def test_memory_is_that_of_the_bytes(long, words, monkeypatch, tmp_path):
    main(["show", "--all", "--json", str(SAMPLE)])  # imports what is imported once
    with open(tmp_path / "out", "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        tracemalloc.start()
        try:
            main([*words, str(long[0])])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The context, its records, and a record's fields; for decode the record made of them again.
    assert peak < (4.5 if words == ["decode"] else 3.5) * LENGTH


def test_the_json_is_whole(long, capsys):
    path, body = long
    assert main(["show", "--all", "--json", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    (record,) = [each for each in shown["contents"] if each["length"] == LENGTH]
    assert body.hex().endswith(record["tail"] or record["fields"]["save_area"])


@pytest.mark.parametrize("indent", [None, 2])
def test_bytes_are_hexadecimal(indent):
    value = {"a": b"\1\2", "b": [b"x" * 200_000, b""], "c": "\0 7.", "d": b"y" * 70_000}
    plain = {"a": "0102", "b": ["78" * 200_000, ""], "c": "\0 7.", "d": "79" * 70_000}
    assert "".join(json_pieces(value, indent)) == json.dumps(plain, indent=indent)


def test_what_is_no_json_is_an_error():
    with pytest.raises(TypeError, match="set"):
        list(json_pieces({1}))
