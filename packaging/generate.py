"""`python packaging/generate.py`: write the manual pages and completions that packages install."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xensave import __version__
from xensave.cli import COMMANDS
from xensave.cli.shell.completion import script
from xensave.cli.whole import parser_of
from xensave.views.manual import command_page, main_page

HERE = Path(__file__).parent
COMPLETIONS = {"bash": "xensave", "zsh": "_xensave", "fish": "xensave.fish"}


def files() -> dict[Path, str]:
    """Return every generated file with its text."""
    # argparse folds its synopsis at the terminal's width.
    os.environ["COLUMNS"] = "100"
    made = {HERE / "man" / "xensave.1": main_page(COMMANDS, __version__)}
    for name, purpose in COMMANDS.items():
        page = command_page(name, purpose, parser_of(name), __version__)
        made[HERE / "man" / f"xensave-{name}.1"] = page
    for shell, file in COMPLETIONS.items():
        made[HERE / "completions" / file] = script(shell)
    return made


def main() -> int:
    """Write them, and remove pages of commands that are gone."""
    made = files()
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for path in (HERE / "man").iterdir():
        if path not in made:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
