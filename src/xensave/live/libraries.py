"""Xen's libraries in dom0, by ctypes: libxencall for hypercalls, libxenstore for names.

libxencall's interface is stable (SONAME 1, since Xen 4.7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import (
    POINTER,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint32,
    c_uint64,
    c_ulong,
    c_void_p,
)
from typing import Any, Protocol

from xensave.errors import SourceError

XENCALL = "libxencall.so.1"
XENSTORE = ("libxenstore.so.4", "libxenstore.so.3.0")

# What xs_directory() and xs_read() take: a handle, a transaction, a path, and where a count goes.
_READING = (c_void_p, c_uint32, c_char_p, POINTER(c_uint))


class Buffer(Protocol):
    """Memory that the hypervisor may read and write."""

    address: int

    def read(self, n: int, offset: int = 0) -> bytes:
        """Returns n bytes."""

    def write(self, data: bytes) -> None:
        """Puts bytes at the beginning."""


class Hypercalls(Protocol):
    """What asks the hypervisor."""

    def call(self, number: int, *args: int) -> int:
        """Does a hypercall of one or two arguments. Raises OSError with Xen's errno."""

    def buffer(self, size: int) -> Buffer:
        """Returns memory, which is zero; it lives as long as this does."""


class CallBuffer:
    """A buffer of libxencall's: memory that stays where it is during a hypercall."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self._size = size
        ctypes.memset(address, 0, size)

    def read(self, n: int, offset: int = 0) -> bytes:
        """Returns n bytes, as far as there are so many."""
        n = max(0, min(n, self._size - offset))
        return ctypes.string_at(self.address + offset, n)

    def write(self, data: bytes) -> None:
        """Puts bytes at the beginning."""
        ctypes.memmove(self.address, data, min(len(data), self._size))


class AbsentLibrary(SourceError):
    """A library that is not here, or cannot be loaded."""


def load_library(path: str, what: str) -> ctypes.CDLL:
    """Loads one of Xen's libraries, with which `what` is read. Raises AbsentLibrary without it."""
    try:
        return ctypes.CDLL(path, use_errno=True)
    except OSError as error:
        raise AbsentLibrary(
            f"{path} cannot be loaded: {what} can be read in Xen's dom0 only"
        ) from error


Function = Callable[..., Any]
"""A function of a library: what it takes and returns is declared to ctypes."""


def function(library: ctypes.CDLL, name: str, result: object, *arguments: object) -> Function:
    """Returns a function of a library, with the types of its result and its arguments declared."""
    declared = library[name]
    declared.restype = result  # type: ignore[assignment]  # ctypes keeps its types' type private
    declared.argtypes = arguments  # type: ignore[assignment]
    return declared


class XenCall:
    """libxencall, opened.

    Raises AbsentLibrary where there is no such library, SourceError without a dom0 or a right.
    """

    def __init__(self, path: str = XENCALL) -> None:
        library = load_library(path, "a running guest")
        open_ = function(library, "xencall_open", c_void_p, c_void_p, c_uint)
        self._allocate = function(library, "xencall_alloc_buffer", c_void_p, c_void_p, c_size_t)
        self._free = function(library, "xencall_free_buffer", None, c_void_p, c_void_p)
        self._close = function(library, "xencall_close", c_int, c_void_p)
        self._calls = {
            count: function(
                library, f"xencall{count}", c_int, c_void_p, c_uint, *[c_uint64] * count
            )
            for count in (1, 2)
        }
        self._buffers: list[int] = []
        with _silenced():
            ctypes.set_errno(0)
            self._handle: int | None = open_(None, 0)
            code = ctypes.get_errno()
        if not self._handle:
            raise SourceError(_why_not(code))

    def call(self, number: int, *args: int) -> int:
        """Does a hypercall of one or two arguments. Raises OSError with Xen's errno."""
        ctypes.set_errno(0)
        result: int = self._calls[len(args)](self._handle, number, *args)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def buffer(self, size: int) -> CallBuffer:
        """Returns memory, which is zero; it lives until `close`."""
        address: int | None = self._allocate(self._handle, size)
        if not address:
            raise SourceError(f"no {size} bytes for a hypercall: {os.strerror(errno.ENOMEM)}")
        self._buffers.append(address)
        return CallBuffer(address, size)

    def close(self) -> None:
        """Gives back the buffers and the handle."""
        for address in self._buffers:
            self._free(self._handle, address)
        self._buffers.clear()
        if self._handle:
            self._close(self._handle)
            self._handle = None


def _why_not(code: int) -> str:
    if code in (errno.EACCES, errno.EPERM):
        return "no right to hypercalls: only root in dom0 may ask Xen of other guests"
    return f"no hypercalls here ({os.strerror(code)}): this is not Xen's dom0"


@contextmanager
def _silenced() -> Iterator[None]:
    """Sends what a library writes to standard error to nowhere: the error is told in our words."""
    sys.stderr.flush()
    before = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def domain_of_name(name: str, paths: tuple[str, ...] = XENSTORE) -> int:
    """Returns the id of the domain of a name, as xenstore knows it. Raises SourceError.

    Of several of one name (a guest that is being migrated) the newest counts.
    """
    library = _first_loaded(paths)
    handle = function(library, "xs_open", c_void_p, c_ulong)(0)
    if not handle:
        raise SourceError(f"xenstore cannot be opened: {os.strerror(ctypes.get_errno())}")
    try:
        result = [
            number
            for number in _domains(library, handle)
            if _read(library, handle, f"/local/domain/{number}/name") == name.encode()
        ]
    finally:
        function(library, "xs_close", None, c_void_p)(handle)
    if not result:
        raise SourceError(f"no domain is called {name!r}")
    return max(result)


def _first_loaded(paths: tuple[str, ...]) -> ctypes.CDLL:
    for path in paths:
        try:
            return ctypes.CDLL(path, use_errno=True)
        except OSError:
            continue
    raise SourceError(f"{paths[0]} cannot be loaded: name the domain by its id")


def _domains(library: ctypes.CDLL, handle: int) -> list[int]:
    directory = function(library, "xs_directory", POINTER(c_char_p), *_READING)
    count = c_uint(0)
    words = directory(handle, 0, b"/local/domain", ctypes.byref(count))
    if not words:
        return []
    result = [words[index] for index in range(count.value)]
    numbers = [int(word) for word in result if word is not None and word.isdigit()]
    _free(words)
    return numbers


def _read(library: ctypes.CDLL, handle: int, path: str) -> bytes | None:
    length = c_uint(0)
    read = function(library, "xs_read", c_void_p, *_READING)
    result = read(handle, 0, path.encode(), ctypes.byref(length))
    if not result:
        return None
    value = ctypes.string_at(result, length.value)
    _free(c_void_p(result))
    return value


def _free(pointer: object) -> None:
    free = function(ctypes.CDLL(None), "free", None, c_void_p)
    free(ctypes.cast(pointer, c_void_p))  # type: ignore[arg-type]  # any pointer
