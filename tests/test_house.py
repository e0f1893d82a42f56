"""The house keeps its own promises: pages, tests and paths that are named exist."""

import ast
import re
from collections import Counter, defaultdict
from contextlib import suppress
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
MINUTES = 600
"""The seconds after which what is waited for is taken for something that never comes."""
# What takes seconds, and which of its arguments they are.
WAITS = {
    "select": 3, "poll": 0, "wait": 0, "join": 0, "communicate": 1, "result": 0, "acquire": 1,
    "settimeout": 0, "sleep": 0, "Timer": 0,
}  # fmt: skip
# Those of them that are functions.
BARE = ("select", "wait", "sleep", "Timer")
# Scripts of an emulated machine, which wait for what it boots.
EMULATED = ("tests/xen/rig/", "tests/xen/dom0/")
# A test that sets the clock which the library reads; one that ends what would run for ever.
SET = {
    "tests/fleet/test_scan.py": ["monotonic"],
    "tests/hostile/test_hangs.py": ["setitimer", "setitimer"],
}

# A browser gets seconds to end by itself, and no test looks whether it did; a reading is slow; a
# server that has fallen silent is given up.
PACES = {
    "tests/fleet/stores/test_sftp.py": ["settimeout(0.1)"],
    "tests/report/browser.py": ["wait(5)"],
    "tests/views/test_progress.py": ["select({pause})"],
}


def scripts(tree):
    """Yield what stands in a file's texts, with a number for each of their fields."""
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        fixed = (part.value if isinstance(part, ast.Constant) else 0 for part in parts)
        text = "".join(map(str, fixed))
        if "import " in text:
            with suppress(SyntaxError):
                yield ast.parse(text)


def is_patient(name, limit, named):
    """Tell whether a call's limit is none, or minutes, or no limit at all."""
    value = named.get(limit.id, limit) if isinstance(limit, ast.Name) else limit
    if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
        return value.value >= MINUTES
    # Texts are joined too, and a name passed on is judged where it comes from.
    return ast.unparse(value) in ("None", "timeout") or name == "join"


def waits(tree):
    """Yield what gives up before minutes are over, in a file or in a script that stands in it."""
    named = {
        ast.unparse(node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While | ast.For)]
    looped = {inner for loop in loops for inner in ast.walk(loop)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        # Who sleeps in a loop looks again for what is awaited.
        if name == "sleep" and node in looped:
            continue
        limits = [word.value for word in node.keywords if word.arg == "timeout"]
        if name in WAITS and (isinstance(node.func, ast.Attribute) or name in BARE):
            limits += node.args[WAITS[name] :][:1]
        for limit in limits:
            if not is_patient(name, limit, named):
                yield f"{name}({ast.unparse(limit)})"
    for script in scripts(tree):
        yield from waits(script)


@pytest.mark.parametrize(
    ("text", "hasty"),
    [
        ("wait(600); thread.join(); ','.join(names); select(r, w, x); run(c, timeout=None)", 0),
        ("LONG = 600\nwait(timeout=LONG)", 0),
        ("while not there():\n    sleep(0.1)", 0),
        ("SHORT = 5\nwait(timeout=SHORT)", 1),
        ("select(r, w, x, 5); a.wait(limit); sleep(1); thread.join(30)", 4),
        ("code = f'import time; time.sleep({pace})'", 1),
    ],
)
def test_what_waits_a_while_is_seen(text, hasty):
    assert len(list(waits(ast.parse(text)))) == hasty


def test_no_test_passes_or_fails_by_time():
    """What waits for an event waits for it, and gives up on what hangs after minutes alone."""
    clocks, paces = {}, {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        if name.startswith(EMULATED) or path == Path(__file__):
            continue
        if names := CLOCK.findall(text):
            clocks[name] = names
        if hasty := list(waits(ast.parse(text))):
            paces[name] = hasty
    assert clocks == SET
    assert paces == PACES


def test_a_class_name_is_defined_in_one_room():
    rooms = defaultdict(set)
    for path in (ROOT / "src/xensave").rglob("*.py"):
        room = path.relative_to(ROOT / "src/xensave").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                rooms[node.name].add(room)
    twice = {name for name, homes in rooms.items() if len(homes) > 1}
    assert twice == set(), "give the newer one a name that says what sets it apart"
