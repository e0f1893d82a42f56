"""The house keeps its own promises: pages, tests and paths that are named exist."""

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.test_layers import FLOORS
from xensave.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SPAN = re.compile(r"`((?:src|tests|docs|bench|fuzz|examples|packaging)/[\w./-]+)`")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
# What a reader would have to be one of us to understand, or what is only on one machine.
PRIVATE = re.compile(r"/wor[k]/|/tmp/bas[h]|\bissue \d+\b|\bsession \d+\b")


def pages():
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES]


@pytest.mark.parametrize("page", pages())
def test_paths_and_links_of_a_page_exist(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    gone = [path for path in SPAN.findall(text) if not (ROOT / path).exists()]
    gone += [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert not gone, "the page names what is not there"


@pytest.mark.parametrize("page", pages())
def test_a_page_speaks_of_the_project_alone(page):
    assert not PRIVATE.findall(page.read_text())


def test_every_page_is_reached_from_the_readme():
    reached, due = set(), [ROOT / "README.md"]
    while due:
        page = due.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        due += [(page.parent / link).resolve() for link in LINK.findall(page.read_text())]
    assert {page for page in PAGES if page not in reached} == set(), "link them in docs/index.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_and_a_test(name):
    call = re.compile(rf"\$ (?:.*\| )?xensave {re.escape(name)}\b|`xensave {re.escape(name)}\b")
    assert any(call.search(page.read_text()) for page in PAGES), (
        f"a page below docs/reference shows `$ xensave {name}` in a console block"
    )
    word = re.compile(rf"[\"']{re.escape(name)}[\"']|xensave {re.escape(name)}\b")
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    assert any(word.search(path.read_text()) for path in tests), (
        f"a test in the folder of tests/cli that has its group's name calls {name}"
    )


def test_the_plan_of_the_house_has_every_room_on_its_floor():
    rows = re.findall(
        r"^\| (\d+) \| ([^|]*) \|",
        (ROOT / "docs/explanation/architecture.md").read_text(),
        re.MULTILINE,
    )
    shown = {int(floor): set(re.findall(r"`([\w.]+?)/?`", rooms)) for floor, rooms in rows}
    floors = {at: rooms for at, rooms in enumerate(FLOORS) if rooms != {"__main__"}}
    assert shown == floors, "the table of docs/explanation/architecture.md and FLOORS differ"


def test_the_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    for head in heads[heads[0] == "Unreleased" :]:
        assert re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# A file each for a mail, an image, an answer.
DATA = ("tests/data/",)


@pytest.mark.parametrize("name", ["src", "tests", "docs"])
def test_a_folder_has_a_dozen_files_at_most(name):
    files = [path for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".md", ".svg")]
    folders = Counter(
        path.parent.relative_to(ROOT).as_posix() for path in files if path.stem != "__init__"
    )
    assert {
        folder: n for folder, n in folders.items() if n > 12 and not folder.startswith(DATA)
    } == {}, "make a folder in it for those of one subject"


CLOCK = re.compile(
    r"\b(?:perf_counter|monotonic|process_time|thread_time|timeit|ru_[us]time|clock_gettime"
    r"|setitimer|RLIMIT_CPU|time_ns|time\.time\b|from time import|os\.times\b|signal\.alarm"
    r"|datetime\.(?:now|utcnow)\b)\w*"
)
HANG = re.compile(
    r"timeout[= ](\d+)|\b(?:PATIENCE|SECONDS_TO_END) = (\d+)"
    r"|\.(?:wait|join|communicate|result|acquire)\((\d+)"
)
# Scripts of an emulated machine, which wait for what it boots.
EMULATED = ("tests/xen/rig/", "tests/xen/dom0/")
# A test that sets the clock which the library reads; one that ends what would run for ever.
SET = {
    "tests/fleet/test_scan.py": ["monotonic"],
    "tests/hostile/test_hangs.py": ["setitimer", "setitimer"],
}

# A browser gets these seconds to end by itself; no test looks whether it did.
COURTESY = {"tests/report/browser.py": 5}


def test_no_test_passes_or_fails_by_time():
    """What waits for an event waits for it, and gives up on what hangs after minutes alone."""
    clocks, hasty = {}, {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        if name.startswith(EMULATED) or path == Path(__file__):
            continue
        if names := CLOCK.findall(text):
            clocks[name] = names
        limits = [int("".join(limit)) for limit in HANG.findall(text)]
        if limits and min(limits) < 600:
            hasty[name] = min(limits)
    assert clocks == SET
    assert hasty == COURTESY


def test_a_class_name_is_defined_in_one_room():
    rooms = defaultdict(set)
    for path in (ROOT / "src/xensave").rglob("*.py"):
        room = path.relative_to(ROOT / "src/xensave").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                rooms[node.name].add(room)
    twice = {name for name, homes in rooms.items() if len(homes) > 1}
    assert twice == set(), "give the newer one a name that says what sets it apart"
