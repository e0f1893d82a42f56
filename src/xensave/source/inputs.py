"""Which files are being read, so that a result is not written over one of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from xensave.errors import UsageError

_FileId = tuple[int, int]

_open: dict[_FileId, dict[int, str]] = {}
"""What each file that is read is called by those who read it."""

_commands: list[list[InputFile]] = []


class InputFile:
    """A file that is read, by its identity: another name, a link or a descriptor of it is the same.

    It counts as long as this object is there, and in a command to the command's end. What is no
    regular file or block device can be read and written at once, and does not count.
    """

    def __init__(self, status: os.stat_result, name: str) -> None:
        identity = self._identity = _identity(status)
        if identity is None:
            return
        _open.setdefault(identity, {})[id(self)] = name
        for command in _commands:
            command.append(self)
        if _commands and identity in _standard_outputs():
            raise UsageError("is the input, and output goes there too").about(name)

    def __del__(self) -> None:
        identity = self._identity
        names = _open.get(identity) if identity else None
        if identity and names:
            names.pop(id(self), None)
            if not names:
                del _open[identity]


def reading(file: str | int, name: str | None = None) -> InputFile | None:
    """Returns the file behind a path or descriptor that is read otherwise than by a source.

    None where there is none.
    """
    with suppress(OSError, ValueError):
        return InputFile(os.stat(file), name or str(file))  # noqa: PTH116 - of a descriptor too
    return None


@contextmanager
def command_inputs() -> Iterator[None]:
    """Lets every file that is read inside the block count up to its end, closed or not.

    Inside it, to read the file that standard output goes to is an error too, as it is for cat.
    """
    _commands.append([])
    try:
        yield
    finally:
        _commands.pop()


def refuse_input(out: str | int) -> None:
    """Raises UsageError where an output, a path or a descriptor, is a file that is read.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     image = reading(file.fileno(), file.name)
    ...     try:
    ...         refuse_input(file.fileno())
    ...     except UsageError as error:
    ...         error.message.replace(file.name, "FILE")
    'is the input FILE too: the result would be written over it'
    """
    try:
        identity = _identity(os.stat(out))  # noqa: PTH116 - of a descriptor too
    except (OSError, ValueError):
        return
    names = _open.get(identity) if identity else None
    if names:
        name = next(iter(names.values()))
        both = "is the input" if name == out else f"is the input {name}"
        message = f"{both} too: the result would be written over it"
        raise UsageError(message).about(str(out))


def _identity(status: os.stat_result) -> _FileId | None:
    if stat.S_ISREG(status.st_mode):
        return status.st_dev, status.st_ino
    # A device may have several nodes.
    return (-1, status.st_rdev) if stat.S_ISBLK(status.st_mode) else None


def _standard_outputs() -> Iterator[_FileId]:
    for fd in (1, 2):
        with suppress(OSError):
            identity = _identity(os.fstat(fd))
            if identity is not None:
                yield identity
