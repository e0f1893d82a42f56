"""Xen's libraries in dom0, by ctypes: libxencall for hypercalls, libxenstore for names.

libxencall's interface is stable (SONAME 1, since Xen 4.7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from xensave.errors import SourceError

XENCALL = "libxencall.so.1"
XENSTORE = ("libxenstore.so.4", "libxenstore.so.3.0")


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


class XenCall:
    """libxencall, opened.

    Raises AbsentLibrary where there is no such library, SourceError without a dom0 or a right.
    """

    def __init__(self, path: str = XENCALL) -> None:
        self._library = load_library(path, "a running guest")
        open_ = self._library.xencall_open
        open_.restype = ctypes.c_void_p
        open_.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        allocate = self._library.xencall_alloc_buffer
        allocate.restype = ctypes.c_void_p
        allocate.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._library.xencall_free_buffer.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._library.xencall_close.argtypes = [ctypes.c_void_p]
        for count in (1, 2):
            call = getattr(self._library, f"xencall{count}")
            call.argtypes = [ctypes.c_void_p, ctypes.c_uint, *[ctypes.c_uint64] * count]
            call.restype = ctypes.c_int
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
        result: int = getattr(self._library, f"xencall{len(args)}")(self._handle, number, *args)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def buffer(self, size: int) -> CallBuffer:
        """Returns memory, which is zero; it lives until `close`."""
        address: int | None = self._library.xencall_alloc_buffer(self._handle, size)
        if not address:
            raise SourceError(f"no {size} bytes for a hypercall: {os.strerror(errno.ENOMEM)}")
        self._buffers.append(address)
        return CallBuffer(address, size)

    def close(self) -> None:
        """Gives back the buffers and the handle."""
        for address in self._buffers:
            self._library.xencall_free_buffer(self._handle, address)
        self._buffers.clear()
        if self._handle:
            self._library.xencall_close(self._handle)
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
    library.xs_open.restype = ctypes.c_void_p
    library.xs_open.argtypes = [ctypes.c_ulong]
    handle = library.xs_open(0)
    if not handle:
        raise SourceError(f"xenstore cannot be opened: {os.strerror(ctypes.get_errno())}")
    try:
        result = [
            number
            for number in _domains(library, handle)
            if _read(library, handle, f"/local/domain/{number}/name") == name.encode()
        ]
    finally:
        library.xs_close.argtypes = [ctypes.c_void_p]
        library.xs_close(handle)
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
    library.xs_directory.restype = ctypes.POINTER(ctypes.c_char_p)
    library.xs_directory.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint)
    ]  # fmt: skip
    count = ctypes.c_uint(0)
    words = library.xs_directory(handle, 0, b"/local/domain", ctypes.byref(count))
    if not words:
        return []
    result = [words[index] for index in range(count.value)]
    numbers = [int(word) for word in result if word is not None and word.isdigit()]
    _free(words)
    return numbers


def _read(library: ctypes.CDLL, handle: int, path: str) -> bytes | None:
    library.xs_read.restype = ctypes.c_void_p
    library.xs_read.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint)
    ]  # fmt: skip
    length = ctypes.c_uint(0)
    result = library.xs_read(handle, 0, path.encode(), ctypes.byref(length))
    if not result:
        return None
    value = ctypes.string_at(result, length.value)
    _free(ctypes.c_void_p(result))
    return value


def _free(pointer: object) -> None:
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free(ctypes.cast(pointer, ctypes.c_void_p))  # type: ignore[arg-type]  # any pointer
