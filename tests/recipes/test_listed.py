"""What a recipe says to list is listed: a row that nobody reads fails here, and says where to."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import xensave
from xensave import catalogue
from xensave.cli import COMMANDS, GROUPS, module_of
from xensave.container import formats
from xensave.container.streams import libxc, libxl
from xensave.engine.handlers import table as handlers
from xensave.rules.numbers import table as numbers
from xensave.rules.stream.model import StreamRule
from xensave.rules.stream.table import rules
from xensave.toolstack import restore
from xensave.toolstack.rule import RestoreRule

ROOT = Path(xensave.__file__).parent


def modules(folder):
    """The modules of a folder and of those below it."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def values(folder, kind):
    """What stands under a name in a module of a folder: (where, value)."""
    for module in modules(folder):
        for name, value in vars(module).items():
            if isinstance(value, kind):
                yield f"{module.__name__}.{name}", value


@pytest.mark.parametrize("folder", ["toolstack/libxl", "toolstack/libxc"])
def test_a_refusal_of_the_toolstack_is_in_rules(folder):
    unread = [name for name, row in values(folder, RestoreRule) if row not in restore.RULES]
    assert unread == [], (
        "add it to RULES at the end of its file, and a new file's RULES to those of restore.py"
    )


def test_rules_of_a_handler_are_in_the_table():
    for module in modules("engine/handlers"):
        if module is handlers:
            continue
        unread = [row.id for row in getattr(module, "RULES", ()) if row not in handlers.RULES]
        unread += [
            row.record for row in getattr(module, "SPECS", ()) if row.record not in handlers.SPECS
        ]
        assert unread == [], f"table.py beside it takes those of {module.__name__} in"


def test_a_rule_on_a_stream_is_in_a_check():
    unread = [name for name, rule in values("rules/stream", StreamRule) if rule not in rules()]
    assert unread == [], "list it in the Check whose function yields it"


def test_a_rule_of_review_is_in_the_table():
    """A function on a change stands in a row of the table."""
    checks = {rule.check for rule in numbers.RULES}
    unread = []
    for module in modules("rules/numbers"):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            mine = function.__module__ == module.__name__ and not name.startswith("_")
            said = inspect.get_annotations(function)
            yields = said == {"change": "Change", "return": "Iterator[Hit]"}
            if mine and yields and function not in checks:
                unread.append(f"{module.__name__}.{name}")
    assert unread == [], "give it a row in src/xensave/rules/numbers/table.py"


def test_a_file_of_a_format_is_a_format():
    files = {path.stem for path in (ROOT / "rules/stream/formats").glob("*.py")}
    homes = {type(known).__module__ for known in formats.FORMATS}
    folders = [
        module for folder in ("frames", "streams") for module in modules(f"container/{folder}")
    ]
    classes = {
        value.__module__
        for module in folders
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, formats.Format)
    }
    assert classes - {formats.Format.__module__} - homes == set(), (
        "give its instance a row in src/xensave/container/formats.py"
    )
    assert set(formats.format_names()) <= files


def test_a_module_of_the_command_line_is_a_command():
    listed = {module_of(name) for name in COMMANDS}
    unread = [
        module.__name__
        for group in GROUPS
        for module in modules(f"cli/{group}")
        if hasattr(module, "add_arguments") and module.__name__ not in listed
    ]
    assert unread == [], "give it a line in GROUPS of src/xensave/cli/__init__.py"


@pytest.mark.parametrize("stream", [libxc, libxl])
def test_records_of_a_stream_are_those_of_the_catalogue(stream):
    space = f"{stream.__name__.rpartition('.')[2]}-record"
    there = {number.number: number.name for number in catalogue.space(space).numbers}
    assert dict(stream.RECORDS) == there, f"RECORDS of {stream.__name__} lacks what a release added"
