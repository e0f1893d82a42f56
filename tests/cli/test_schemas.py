"""Every command that prints JSON has a schema, and keeps to it."""

import argparse
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.cli.json_samples import SAMPLES
from xensave.cli import COMMANDS, main, module_of
from xensave.views.schemas import FOLDER, schema, schema_names

jsonschema = pytest.importorskip("jsonschema")
# What it takes is what decode writes.
OTHERWISE = {"encode"}
# Asks a server: tests/review/test_patchwork.py has one, and holds what it prints to the schema.
# A table has to be made first: tests/fleet/test_query.py does.
ELSEWHERE = {"patchwork", "scan", "query", "plan"}


def documents(text):
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        yield document


def parts(value):
    """Every key and value within a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield key, item
        if isinstance(item, (dict, list)):
            yield from parts(item)


def rounded(document):
    """The integers that JavaScript and jq would round."""
    return {
        item & (1 << 64) - 1
        for _, item in parts(document)
        if isinstance(item, int) and abs(item) > (1 << 53) - 1
    }


def twins(document):
    """What stands in hexadecimal, beside the numbers."""
    texts = {item for _, item in parts(document) if isinstance(item, str)}
    return {int(text, 16) for text in texts if re.fullmatch(r"0x[0-9a-f]{16}", text)}


def prints_json(name):
    parser = argparse.ArgumentParser()
    module = import_module(module_of(name))
    module.add_arguments(parser)
    return any("--json" in action.option_strings for action in parser._actions)


def test_every_command_with_json_has_a_schema():
    wanted = {name for name in COMMANDS if prints_json(name)} - OTHERWISE
    have, shown = set(schema_names()), set(SAMPLES) | ELSEWHERE
    assert wanted - have == set(), f"write COMMAND.schema.json in {FOLDER}, as its neighbours are"
    assert have - wanted == set(), "these have no --json"
    assert wanted - shown == set(), "add calls of them to tests/cli/json_samples.py"
    assert shown - wanted == set(), "these have no --json"


@pytest.mark.parametrize("name", schema_names())
def test_a_schema_is_one_and_has_a_version(name):
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    assert re.fullmatch(rf"urn:xensave:{name}:\d+", found["$id"])
    assert (FOLDER / f"{name}.schema.json").read_text().endswith("}\n")


@pytest.mark.parametrize("name", SAMPLES)
def test_what_a_command_prints_keeps_to_its_schema(name, tmp_path, capsys):
    cut = tmp_path / "cut.ctx"
    cut.write_bytes(Path("examples/hvm1.ctx").read_bytes()[:3000])
    validator = jsonschema.Draft202012Validator(schema(name))
    seen = 0
    for words in SAMPLES[name]:
        main([str(cut) if word == "CUT" else word.replace("OUT", str(tmp_path)) for word in words])
        for document in documents(capsys.readouterr().out):
            validator.validate(document)
            assert "error" not in document
            assert rounded(document) <= twins(document)
            seen += 1
    assert seen >= len(SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_an_error_keeps_to_the_schema_too(name, capsys):
    assert main([name, "--json", "--no-such-option"]) == 2
    (document,) = documents(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema(name)).validate(document)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_schema_refuses_what_is_not_that_commands(name):
    validator = jsonschema.Draft202012Validator(schema(name))
    assert not validator.is_valid({})
    assert not validator.is_valid("text")
    assert not validator.is_valid([{}])
