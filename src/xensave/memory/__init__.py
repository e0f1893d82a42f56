"""The memory of a saved guest: where each frame lies in the image, and what its addresses read.

>>> from xensave import open as open_image
>>> with open_image("examples/hvm1.img.zst") as image:
...     memory = image.memory
...     len(memory.index), memory.read(0xFFFF0, 5).hex()
(4092, 'ea5be000f0')
"""

from xensave.memory.address_space import AddressSpace
from xensave.memory.index import PageIndex, build_index
from xensave.memory.mappings import Mapping, Mappings
from xensave.memory.paging import NotMapped, PagingMode, Translation
from xensave.memory.physical import AbsentPage, FrameRun, Memory
from xensave.memory.registers import Registers

__all__ = [
    "AbsentPage",
    "AddressSpace",
    "FrameRun",
    "Mapping",
    "Mappings",
    "Memory",
    "NotMapped",
    "PageIndex",
    "PagingMode",
    "Registers",
    "Translation",
    "build_index",
]
