"""A small repository with save headers and handlers, and patches for it."""

import subprocess
from pathlib import Path

import pytest

PATCHES = Path(__file__).parents[1] / "data" / "patches"
RULES = Path(__file__).parents[1] / "rules_numbers" / "rules"
HEADER = "xen/include/public/hvm/save.h"
HANDLERS = "xen/arch/x86/hvm/timers.c"


class Repository:
    """A git repository in a directory, with a helper to commit text."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "dev@example.org")
        self.git("config", "user.name", "Dev")

    def git(self, *words):
        done = subprocess.run(
            ["git", "-C", str(self.path), *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def write(self, name, text):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.git("add", name)

    def commit(self, subject, **files):
        for name, text in files.items():
            self.write({"header": HEADER, "handlers": HANDLERS}.get(name, name), text)
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD").strip()


@pytest.fixture
def base():
    folder = RULES / "RECORD_REGISTERED_BY_NO_HANDLER" / "previous"
    return {"header": (folder / HEADER).read_text(), "handlers": (folder / HANDLERS).read_text()}


@pytest.fixture
def repository(tmp_path, base):
    made = Repository(tmp_path / "xen")
    made.commit("Start", **base)
    return made


@pytest.fixture
def v1():
    return (PATCHES / "v1.mbox").read_bytes()


@pytest.fixture
def v2():
    return (PATCHES / "v2.mbox").read_bytes()


@pytest.fixture
def answer():
    return (PATCHES / "reply.mbox").read_bytes()
