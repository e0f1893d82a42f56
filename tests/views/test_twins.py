"""64-bit numbers survive readers of JSON that keep 53 bits: each has its twin in hexadecimal."""

import json
from pathlib import Path

import pytest

from xensave.cli import main
from xensave.context import Context
from xensave.records.flat import element_size, leaves

CONTEXTS = sorted(Path("examples").glob("*.ctx"))


@pytest.mark.parametrize("path", CONTEXTS, ids=lambda path: path.stem)
def test_each_integer_of_64_bits_has_its_twin(path, capsys):
    assert main(["show", str(path), "--all", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["contents"]
    context = Context.parse(path.read_bytes())
    for record, of in zip(shown, context, strict=True):
        for name, text in record["hex"].items():
            assert int(text, 16) == of.integer(name) & (1 << 64) - 1
            assert len(text) == 18
        plain = [
            place.path
            for place in leaves(of.layout.fields)
            if element_size(place.field) == 8
            and not any(field.dims for field in (*place.parents, place.field))
        ]
        assert set(plain) <= set(record["hex"])


def test_an_address_of_a_kernel_survives_javascript(capsys):
    main(["show", "examples/pvh1.ctx", "--record", "CPU:0", "--json"])
    (record,) = json.loads(capsys.readouterr().out)
    rip = record["fields"]["rip"]
    assert rip > 1 << 53
    assert int(float(rip)) != rip
    assert record["hex"]["rip"] == hex(rip)


def test_params_have_twins_whatever_their_value(capsys):
    main(["show", "examples/hvm1.img.zst", "--json"])
    params = json.loads(capsys.readouterr().out)["params"]
    assert params
    assert all(int(param["hex"], 16) == param["value"] for param in params)
