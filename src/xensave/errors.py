"""What can go wrong, as values: every error knows where in the input it stands.

`XensaveError` and its kinds carry the byte offset, the record and the field path, so that a
caller can point at the place without parsing a message. The command line prints them in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class XensaveError(Exception):
    """The base of every error that xensave raises on purpose.

    `offset` is in bytes from the start of the (decompressed) input, `record` names the record
    ("libxc PAGE_DATA", "CPU[1]"), `path` the field inside it ("fpu_regs", "cs.sel"). `source`, the
    input's name, is added by the `with` block that has the input open.

    >>> from xensave.errors import Malformed
    >>> print(Malformed("bad magic 0x0, expected 0x54381286", offset=8, record="HEADER[0]"))
    offset 0x8: HEADER[0]: bad magic 0x0, expected 0x54381286
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        record: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.record = record
        self.path = path
        self.source: str | None = None

    def about(self, source: str) -> Self:
        """Returns the error as one of another file than the input that is open."""
        self.source = source
        return self

    def reworded(self, message: str) -> Self:
        """Returns another error of the same kind and place that says something else.

        >>> cut = Truncated("input ends", wanted=8, got=3, offset=16)
        >>> print(cut.reworded("the image ends"), "after", cut.reworded("").got)
        offset 0x10: the image ends after 3
        """
        other = type(self).__new__(type(self), message)
        other.__dict__.update(self.__dict__, message=message)
        return other

    def __reduce__(self) -> tuple[object, ...]:
        # What an error is made of is not all in its arguments, and processes hand errors on.
        return _restored, (type(self), dict(self.__dict__))

    def __str__(self) -> str:
        place = [] if self.source is None else [self.source]
        place += [] if self.offset is None else [f"offset {self.offset:#x}"]
        place += [part for part in (self.record, self.path) if part]
        return ": ".join([*place, self.message])


def _restored(kind: type[XensaveError], data: dict[str, object]) -> XensaveError:
    """Returns an error of a kind that has what another one had."""
    error = kind.__new__(kind, data["message"])
    error.__dict__.update(data)
    return error


class Truncated(XensaveError):
    """The input ends before what it promised: `wanted` bytes were due, `got` were there."""

    def __init__(
        self,
        message: str,
        *,
        wanted: int,
        got: int,
        offset: int | None = None,
        record: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message, offset=offset, record=record, path=path)
        self.wanted = wanted
        self.got = got


class Malformed(XensaveError):
    """Bytes that the format forbids where they stand: a bad magic, a length that cannot be."""


class Unsupported(XensaveError):
    """Well-formed input that xensave knows of and does not read (a legacy stream, big endian)."""


class LimitExceeded(XensaveError):
    """The input asks for more than a stated limit allows (see docs/explanation/security.md)."""


class SourceError(XensaveError):
    """The input or output itself failed: no such file, no permission, a broken decompressor."""


class UsageError(XensaveError):
    """The caller asked for what does not exist: an unknown release, record or option value.

    Where it is a name that nothing has, `word` is that name, and `known` are those that there are.
    """

    word = ""
    known: tuple[str, ...] = ()

    def among(self, word: str, known: Iterable[str]) -> Self:
        """Returns the error as one about a name that is none of those known."""
        self.word, self.known = word, tuple(known)
        return self


_DISTRIBUTIONS = {"clang": "libclang", "elftools": "pyelftools", "jinja2": "Jinja2"}
"""What a module is installed as, where that has another name."""

_EXTRAS = {
    "capstone": "binaries",
    "clang": "headers",
    "distributed": "dask",
    "drgn": "drgn",
    "duckdb": "fleet",
    "elftools": "binaries",
    "fsspec": "fleet",
    "hypothesis": "testing",
    "jinja2": "report",
    "matplotlib": "plot",
    "pyarrow": "fleet",
    "unidiff": "review",
    "volatility3": "volatility",
}
"""The extra that brings a module."""


class MissingExtra(UsageError):
    """What was asked for takes modules of an extra that are not installed.

    >>> print(MissingExtra("reading C headers", "clang.cindex", "headers"))
    reading C headers needs libclang, which is not installed: pip install 'xensave[headers]'
    """

    def __init__(self, purpose: str, module: str, extra: str) -> None:
        names = [name.partition(".")[0] for name in module.split(" and ")]
        package = " and ".join(_DISTRIBUTIONS.get(name, name) for name in names)
        verb = "are" if len(names) > 1 else "is"
        super().__init__(
            f"{purpose} needs {package}, which {verb} not installed: pip install 'xensave[{extra}]'"
        )
        self.package = package
        self.extra = extra

    @classmethod
    def of(cls, error: ModuleNotFoundError, purpose: str) -> MissingExtra | None:
        """Returns the error for a module that was not found; None for one that no extra brings."""
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        return cls(purpose, error.name or "", extra) if extra is not None else None
