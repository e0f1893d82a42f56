"""A running guest's memory, mapped through libxenforeignmemory, whose interface is stable."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_int, c_size_t, c_uint, c_uint32, c_ulong, c_void_p
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from xensave.errors import SourceError
from xensave.live.libraries import function, load_library

FOREIGN_MEMORY = "libxenforeignmemory.so.1"

Frames: TypeAlias = "npt.NDArray[np.uint64]"
Flags: TypeAlias = "npt.NDArray[np.bool_]"

_PAGE = 4096


class ForeignMemory:
    """libxenforeignmemory, opened. Raises AbsentLibrary without it, SourceError without a dom0."""

    def __init__(self, path: str = FOREIGN_MEMORY) -> None:
        library = load_library(path, "a running guest's memory")
        open_ = function(library, "xenforeignmemory_open", c_void_p, c_void_p, c_uint)
        places = POINTER(c_ulong), POINTER(c_int)
        self._map = function(
            library, "xenforeignmemory_map", c_void_p, c_void_p, c_uint32, c_int, c_size_t, *places
        )
        self._unmap = function(
            library, "xenforeignmemory_unmap", c_int, c_void_p, c_void_p, c_size_t
        )
        self._close = function(library, "xenforeignmemory_close", c_int, c_void_p)
        self._handle: int | None = open_(None, 0)
        if not self._handle:
            raise SourceError(os.strerror(ctypes.get_errno())).about(path)

    def pages(self, domain: int, frames: Frames) -> tuple[bytes, Flags]:
        """Returns the pages of the frames that have one, and which frames these are."""
        with self._mapped(domain, frames) as (address, there):
            if there.all():
                return ctypes.string_at(address, len(frames) * _PAGE), there
            places = (np.flatnonzero(there) * _PAGE).tolist()
            return b"".join(ctypes.string_at(address + at, _PAGE) for at in places), there

    def has(self, domain: int, frames: Frames) -> Flags:
        """Tells for each frame whether it can be mapped; no page is looked at."""
        with self._mapped(domain, frames) as (_, there):
            return there

    @contextmanager
    def _mapped(self, domain: int, frames: Frames) -> Iterator[tuple[int, Flags]]:
        """Maps frames; yields the address of the first, and which of them have a page."""
        count = len(frames)
        errors = (c_int * count)()
        numbers = (c_ulong * count).from_buffer_copy(frames.tobytes())
        ctypes.set_errno(0)
        address = self._map(self._handle, domain, mmap.PROT_READ, count, numbers, errors)
        if not address:
            code = ctypes.get_errno()
            raise SourceError(f"domain {domain}: its memory cannot be mapped: {os.strerror(code)}")
        try:
            yield address, np.frombuffer(bytes(errors), np.intc) == 0
        finally:
            self._unmap(self._handle, address, count)

    def close(self) -> None:
        """Gives back the handle."""
        if self._handle:
            self._close(self._handle)
            self._handle = None
