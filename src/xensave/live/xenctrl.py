"""A running domain through libxenctrl, where libxencall is not there (before Xen 4.7).

The library's interface is that of one release. What is used of it has kept its form since 4.2:
xc_interface_open(), xc_version(), xc_domain_hvm_getcontext(), xc_hvm_param_get(). The CPU policy
and the TSC's mode are not asked for.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
from ctypes import POINTER, c_int, c_uint, c_uint32, c_uint64, c_void_p
from pathlib import Path

from xensave.errors import SourceError
from xensave.live.interface import XENVER_VERSION
from xensave.live.libraries import function

_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu")


class XenCtrlDomain:
    """A running domain, asked through libxenctrl. Raises SourceError where it cannot be."""

    def __init__(self, path: str, number: int) -> None:
        self.number = number
        try:
            library = ctypes.CDLL(path, use_errno=True)
        except OSError as error:
            raise SourceError(f"{path} cannot be loaded: {error}") from error
        open_ = function(library, "xc_interface_open", c_void_p, c_void_p, c_void_p, c_uint)
        version_of = function(library, "xc_version", c_int, c_void_p, c_int, c_void_p)
        self._get_context = function(
            library, "xc_domain_hvm_getcontext", c_int, c_void_p, c_uint32, c_void_p, c_uint32
        )
        self._get_param = function(
            library, "xc_hvm_param_get", c_int, c_void_p, c_uint32, c_uint32, POINTER(c_uint64)
        )
        self._handle: int | None = open_(None, None, 0)
        if not self._handle:
            raise SourceError(f"Xen cannot be asked: {os.strerror(ctypes.get_errno())}")
        version: int = version_of(self._handle, XENVER_VERSION, None)
        self.xen = (version >> 16, version & 0xFFFF)

    def context(self) -> bytes:
        """Returns the HVM context of this moment."""
        size = self._context(None, 0)
        buffer = ctypes.create_string_buffer(size)
        length = self._context(buffer, size)
        return buffer.raw[:length]

    def policy(self) -> None:
        """Returns None: the policy is not asked for."""
        return

    def tsc(self) -> None:
        """Returns None: how the TSC is kept is not asked for."""
        return

    def param(self, index: int) -> int:
        """Returns an HVM param; 0 for one that may not be read."""
        value = c_uint64(0)
        got = self._get_param(self._handle, self.number, index, ctypes.byref(value))
        return 0 if got < 0 else value.value

    def _context(self, buffer: ctypes.Array[ctypes.c_char] | None, size: int) -> int:
        got: int = self._get_context(self._handle, self.number, buffer, size)
        if got >= 0:
            return got
        code = ctypes.get_errno()
        if code == errno.ESRCH:
            raise SourceError(f"there is no domain {self.number}")
        raise SourceError(f"domain {self.number} has no context to give: {os.strerror(code)}")


def xenctrl_path() -> str | None:
    """Returns the path of the newest libxenctrl that is here; None where there is none."""
    result = [path for folder in _FOLDERS for path in Path(folder).glob("libxenctrl.so.4.*")]
    return str(max(result)) if result else ctypes.util.find_library("xenctrl")
