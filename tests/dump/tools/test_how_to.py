"""The commands of the pages about memory run, with each tool that is there, on a real guest."""

import os
import shutil

import pytest

from tests.test_docs import BLOCK, PATH, ROOT, commands, pattern, printed_by

PAGES = [ROOT / "docs/how-to/memory.md", *sorted((ROOT / "docs/how-to/tools").glob("*.md"))]
TOOLS = ("drgn", "gdb", "vol", "crash")
BLOCKS = [
    (page, match[2])
    for page in PAGES
    for match in BLOCK.finditer(page.read_text())
    if match[1] is not None
]


@pytest.fixture(scope="module", autouse=True)
def _dumps(folder):
    """What the first blocks of a page extract is there for a block that runs without them."""
    for words in (
        ["guest.elf", "--vmcoreinfo", "vmcoreinfo.txt"],
        ["guest.core", "--format", "core"],
    ):
        printed_by(" ".join(["xensave", "extract", "guest.img", *words]), folder)


def run(command, folder):
    path = f"{folder / 'without'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return printed_by(command, folder, timeout=600, PYTHONPATH=path)


@pytest.mark.parametrize(
    "block",
    [block for _, block in BLOCKS],
    ids=[f"{page.stem}: {block.splitlines()[0][2:40]}" for page, block in BLOCKS],
)
def test_commands_print_what_the_page_says(block, folder):
    for command, expected in commands(block):
        words = command.replace("|", " ").replace("'", " ").split()
        for tool in TOOLS:
            if tool in words and shutil.which(tool, path=PATH) is None:
                pytest.skip(f"needs {tool}")
        printed = run(command, folder)
        assert pattern(expected).fullmatch(printed), f"$ {command}\n{printed}"
