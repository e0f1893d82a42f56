"""What can go wrong, as values: every error knows where in the input it stands.

`XensaveError` and its kinds carry the byte offset, the record and the field path, so that a
caller can point at the place without parsing a message. The command line prints them in one line.
"""

from __future__ import annotations


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

    def __str__(self) -> str:
        place = [] if self.source is None else [self.source]
        place += [] if self.offset is None else [f"offset {self.offset:#x}"]
        place += [part for part in (self.record, self.path) if part]
        return ": ".join([*place, self.message])


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
    """The input asks for more than a stated limit allows (see docs/security.md)."""


class SourceError(XensaveError):
    """The input or output itself failed: no such file, no permission, a broken decompressor."""


class UsageError(XensaveError):
    """The caller asked for what does not exist: an unknown release, record or option value."""


class MissingExtra(UsageError):
    """What was asked for takes packages of an extra that are not installed.

    >>> print(MissingExtra("drawing", "matplotlib", "plot"))
    drawing needs matplotlib, which is not installed: pip install 'xensave[plot]'
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'xensave[{extra}]'"
        )
        self.package = package
        self.extra = extra
