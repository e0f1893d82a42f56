"""Commands in this process or on a terminal, and what they print there."""

import os
import pty
import subprocess
import sys

from xensave.cli import main


def command(name):
    """Return what calls `xensave NAME` in this process: its exit code, stdout and stderr.

    It takes the test's capsys or capfd, and the words behind the name.
    """

    def call(capture, *words):
        return main([name, *map(str, words)]), *capture.readouterr()

    return call


def on_terminal(words, *, stderr=None, **environment):
    """Run `xensave` on a terminal of its own; return what it printed there, and its exit code.

    `stderr` is where errors go, if not there; a variable that is None is left out.
    """
    ours, theirs = pty.openpty()
    given = {**os.environ, **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "xensave", *words],
        stdout=theirs,
        stderr=theirs if stderr is None else stderr,
        env={key: value for key, value in given.items() if value is not None},
    )
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 1 << 16):
            text += part
    except OSError:
        pass  # Linux says EIO where nobody has the other side open any more.
    os.close(ours)
    return text, process.wait()
