"""A process that answers in lines: a question has its own answer, whatever became of the last."""

import os
import signal

import pytest

from xensave.child import Child, ChildEnded
from xensave.errors import SourceError

SAYS = """
import os, signal, sys
for line in sys.stdin:
    word = line.strip()
    if word == "press":
        # The answer comes when nobody waits any more.
        os.kill(os.getppid(), signal.SIGUSR1)
        following = sys.stdin.readline()
        print(word, flush=True)
        word = following.strip()
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "who":
        word = str(os.getpid())
    print(word * (99 if word == "long" else 1), flush=True)
"""


class Pressed(Exception):
    """What a signal's handler raises."""


@pytest.fixture
def child():
    parrot = Child("the parrot", SAYS)
    yield parrot
    parrot.close()


def test_one_process_answers_until_it_is_closed(child):
    first = child.ask("who")
    assert child.ask("who") == first
    assert child.ask("word") == b"word\n"
    child.close()
    assert child.ask("who") != first


@pytest.mark.parametrize(("question", "cut"), [("die", False), ("long", True)])
def test_a_question_without_an_answer(child, question, cut):
    first = child.ask("who")
    with pytest.raises(ChildEnded) as caught:
        child.ask(question, 20)
    assert (caught.value.status, caught.value.cut) == (-signal.SIGKILL, cut)
    assert child.ask("who") != first


def test_a_process_that_died_between_two_questions(child):
    process = int(child.ask("who"))
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert child.ask("word") == b"word\n"


def test_an_answer_that_nobody_waited_for(child):
    def press(*_):
        raise Pressed

    before = signal.signal(signal.SIGUSR1, press)
    try:
        with pytest.raises(Pressed):
            child.ask("press")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert child.ask("word") == b"word\n"


def test_a_process_that_cannot_start(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(SourceError, match="the parrot cannot start: No such file"):
        Child("the parrot", SAYS).ask("word")
