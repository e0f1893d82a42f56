"""Sources: bytes from a file, a pipe or a compressed file, read exactly or not at all."""

from xensave.source.base import Source, read_all
from xensave.source.memory import MemorySource
from xensave.source.opening import BinaryFile, Input, open_source

__all__ = ["BinaryFile", "Input", "MemorySource", "Source", "open_source", "read_all"]
