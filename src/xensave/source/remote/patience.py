"""A store's hiccup costs a wait, not the answer; what will not get better is told at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from xensave.errors import SourceError, XensaveError

T = TypeVar("T")

ATTEMPTS = 5
"""How often a store is asked for the same before it is given up ..."""

BACKOFF = 0.2
"""... with this many seconds before the second time, and twice as many before each next one."""

SILENCE = 60.0
"""The seconds without a byte after which an answer is given up."""

_LASTING = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ValueError,
    TypeError,
)
"""What the same question would meet again; a certificate that is refused is a ValueError."""


class Changed(Exception):
    """The object is not the one that was seen first."""


class Denied(Exception):
    """The store has answered, and would answer the same again."""


def patient(act: Callable[[], T], address: str) -> T:
    """Does it until it works, ATTEMPTS times at the most.

    Raises SourceError: at once where the object has changed or the answer would stay the same.
    """
    wait = BACKOFF
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return act()
        except (XensaveError, ImportError):
            raise
        except Changed as error:
            raise SourceError("changed while it was read").about(address) from error
        except (Denied, *_LASTING) as error:
            raise SourceError(reason(error)).about(address) from error
        except Exception as error:
            if attempt == ATTEMPTS:
                raise SourceError(reason(error)).about(address) from error
        time.sleep(wait)
        wait *= 2
    raise AssertionError("the last attempt returns or raises")


def reason(error: BaseException) -> str:
    """Returns what an error of a store's library says, in a line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and not error.strerror:
        # What a library says is the path alone.
        text = "no such object"
    return str(text).splitlines()[0][:200]
