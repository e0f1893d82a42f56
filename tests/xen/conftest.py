"""The real Xen is asked by `make test-xen` alone; `make test` runs what needs none."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.xen.edited_cases import EDITED, Edited
from tests.xen.restore_cases import CASES, PV_CASE, Case
from tests.xen.rig import CannotAskError
from tests.xen.rig.boot import Session, ask
from tests.xen.rig.setup import prepare

ASKED = bool(os.environ.get("XENSAVE_XEN"))
FOLDER = Path(os.environ.get("XENSAVE_RIG") or Path(__file__).parents[2] / ".rig")
REASON = pytest.StashKey[str]()

collect_ignore = [] if ASKED else ["test_restore.py"]


class Asked(NamedTuple):
    """The images that were made, those that could not be, and what Xen said."""

    images: dict[str, Path]
    failures: dict[str, str]
    session: Session


@pytest.fixture(scope="session")
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """Set up, boot and ask, once, for the tests that run; skip them where this machine cannot."""
    say = _speaker(request.config)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        _wait_for(lock.fileno(), say)
        images = FOLDER / "run" / "images"
        try:
            rig = prepare(FOLDER, say)
            made, failures = _make(images, _needed(request.session.items))
            session = ask(rig, made, say, {case.name for case in EDITED})
        except CannotAskError as lack:
            request.config.stash[REASON] = str(lack)
            pytest.skip(f"no real Xen was asked: {lack}")
        restored = sum(answer["restored"] for answer in session.answers.values())
        say(
            f"Xen answered for {len(session.answers)} images in {session.seconds:.0f} s:"
            f" {restored} restored, {len(session.answers) - restored} refused;"
            f" {len(session.answers.keys() & {case.name for case in EDITED})} of them edited"
        )
        for name, answer in session.answers.items():
            if answer["tries"] > 1:
                say(f"{name}: its guest went on counting at the restore number {answer['tries']}")
        yield Asked(made, failures, session)
        shutil.rmtree(images)


def _needed(tests: Iterable[pytest.Item]) -> list[Case | Edited]:
    """Return the cases that these tests are about: with `-k`, not all of them."""
    names = set()
    for test in tests:
        if isinstance(test, pytest.Function):
            if {"live", "memory"} & set(test.fixturenames):
                names.add(CASES[0].name)
            if "pv_memory" in test.fixturenames:
                names.add(PV_CASE.name)
            if callspec := getattr(test, "callspec", None):
                names.add(callspec.params["case"].name)
    return [case for case in (*CASES, *EDITED) if case.name in names]


def _make(folder: Path, cases: Iterable[Case | Edited]) -> tuple[dict[str, Path], dict[str, str]]:
    """Write the cases' images; one that cannot be made fails its own test only."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made: dict[str, Path] = {}
    failures: dict[str, str] = {}
    for case in cases:
        path = folder / case.name.replace(" ", "-")
        try:
            path.write_bytes(case.make())
        except AssertionError as failure:
            failures[case.name] = str(failure)
        else:
            made[case.name] = path
    return made, failures


def _wait_for(lock: int, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another run in {FOLDER}")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _speaker(config: pytest.Config) -> Callable[[str], None]:
    """Return a way to tell the person who waits, whatever pytest captures."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"rig: {text}", flush=True)

    return say


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say loudly that nothing was proved."""
    if reason := config.stash.get(REASON, None):
        terminalreporter.write_sep("!", "NO REAL XEN WAS ASKED", yellow=True, bold=True)
        terminalreporter.write_line(reason)
