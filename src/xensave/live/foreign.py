"""A running guest's memory, mapped through libxenforeignmemory, whose interface is stable."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

from xensave.errors import SourceError
from xensave.live.libraries import load_library

FOREIGN_MEMORY = "libxenforeignmemory.so.1"

_PAGE = 4096


class ForeignMemory:
    """libxenforeignmemory, opened. Raises AbsentLibrary without it, SourceError without a dom0."""

    def __init__(self, path: str = FOREIGN_MEMORY) -> None:
        self._library = load_library(path, "a running guest's memory")
        open_ = self._library.xenforeignmemory_open
        open_.restype = ctypes.c_void_p
        open_.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        map_ = self._library.xenforeignmemory_map
        map_.restype = ctypes.c_void_p
        map_.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_ulong),
            ctypes.POINTER(ctypes.c_int),
        ]
        self._library.xenforeignmemory_unmap.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
        ]
        self._library.xenforeignmemory_close.argtypes = [ctypes.c_void_p]
        self._handle: int | None = open_(None, 0)
        if not self._handle:
            raise SourceError(f"{path}: {os.strerror(ctypes.get_errno())}")

    def pages(self, domain: int, frames: list[int]) -> list[bytes | None]:
        """Returns the page of each frame, None for one that the guest has not."""
        with self._mapped(domain, frames) as (address, errors):
            if not any(errors):
                whole = ctypes.string_at(address, len(frames) * _PAGE)
                return [whole[at : at + _PAGE] for at in range(0, len(whole), _PAGE)]
            return [
                None if error else ctypes.string_at(address + at * _PAGE, _PAGE)
                for at, error in enumerate(errors)
            ]

    def has(self, domain: int, frames: list[int]) -> list[bool]:
        """Tells for each frame whether it can be mapped; no page is looked at."""
        with self._mapped(domain, frames) as (_, errors):
            return [not error for error in errors]

    @contextmanager
    def _mapped(self, domain: int, frames: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Maps frames; yields the address of the first, and an error for each, 0 for none."""
        count = len(frames)
        errors = (ctypes.c_int * count)()
        numbers = (ctypes.c_ulong * count)(*frames)
        ctypes.set_errno(0)
        address = self._library.xenforeignmemory_map(
            self._handle, domain, mmap.PROT_READ, count, numbers, errors
        )
        if not address:
            code = ctypes.get_errno()
            raise SourceError(f"domain {domain}: its memory cannot be mapped: {os.strerror(code)}")
        try:
            yield address, list(errors)
        finally:
            self._library.xenforeignmemory_unmap(self._handle, address, count)

    def close(self) -> None:
        """Gives back the handle."""
        if self._handle:
            self._library.xenforeignmemory_close(self._handle)
            self._handle = None
