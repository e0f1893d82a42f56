# Licensed under the Volatility Software License 1.0, whose text is in LICENSE beside this file.
"""A layer of volatility3 over the memory in a Xen save image, and the stacker that finds it.

    vol -p "$(xensave volatility-path)" -f guest.img linux.pslist

Images of every container are read, compressed or not.
"""

from functools import lru_cache
from urllib.parse import urlparse
from urllib.request import url2pathname

from volatility3.framework import constants, exceptions, interfaces
from volatility3.framework.configuration import requirements
from volatility3.framework.interfaces.configuration import path_join
from volatility3.framework.layers import physical, segmented

from xensave.errors import XensaveError
from xensave.image import Image, open_image


@lru_cache(4)
def _image(location: str) -> Image:
    """Opens the image at a location; volatility3 makes each layer more than once."""
    url = urlparse(location)
    if url.scheme != "file":
        raise exceptions.LayerException("XenSaveFile", f"{location}: not a file")
    return open_image(url2pathname(url.path))


class XenSaveFile(interfaces.layers.DataLayerInterface):
    """The bytes of a save image, decompressed."""

    def __init__(
        self,
        context: interfaces.context.ContextInterface,
        config_path: str,
        name: str,
        metadata: dict[str, object] | None = None,
    ) -> None:
        super().__init__(context, config_path, name, metadata)
        self.memory = _image(self.config["location"]).memory

    @property
    def minimum_address(self) -> int:
        """The first offset."""
        return 0

    @property
    def maximum_address(self) -> int:
        """The last offset."""
        return (self.memory.source.size or 1) - 1

    def is_valid(self, offset: int, length: int = 1) -> bool:
        """Tells whether the image has so many bytes there."""
        return offset >= 0 and offset + length - 1 <= self.maximum_address

    def read(self, offset: int, length: int, pad: bool = False) -> bytes:
        """Returns bytes of the image; with `pad` zeros for those that it has not."""
        if self.is_valid(offset, length):
            return bytes(self.memory.source.view(offset, length))
        if not pad:
            raise exceptions.InvalidAddressException(self.name, offset, "beyond the image's end")
        first, last = max(0, offset), min(offset + length, self.maximum_address + 1)
        if first >= last:
            return bytes(length)
        there = bytes(self.memory.source.view(first, last - first))
        return (bytes(first - offset) + there).ljust(length, b"\0")

    def write(self, offset: int, data: bytes) -> None:
        """Refuses: an image is only read."""
        raise NotImplementedError("a save image is only read")

    @classmethod
    def get_requirements(cls) -> list[interfaces.configuration.RequirementInterface]:
        """Returns what the layer is made of."""
        return [requirements.StringRequirement(name="location", description="The image's URL")]


class XenSaveLayer(segmented.SegmentedLayer):
    """A saved guest's physical memory, over the bytes of its image.

    Of a PV guest physical addresses are frame numbers (PFNs) times the page size, as its page
    tables in an image have them.
    """

    def _load_segments(self) -> None:
        file = self._context.layers[self._base_layer]
        assert isinstance(file, XenSaveFile)
        self._segments = [
            (run.physical, run.offset, run.size, run.size) for run in file.memory.file_runs()
        ]


class XenSaveStacker(interfaces.automagic.StackerLayerInterface):
    """Puts the layer on files that are save images."""

    stack_order = 10

    @classmethod
    def stack(
        cls,
        context: interfaces.context.ContextInterface,
        layer_name: str,
        progress_callback: constants.ProgressCallback = None,
    ) -> interfaces.layers.DataLayerInterface | None:
        """Returns the layer of memory, None for a file that is no save image or has no memory."""
        file = context.layers[layer_name]
        if not isinstance(file, physical.FileLayer):
            return None
        try:
            if not len(_image(file.location).memory.index):
                return None
        except XensaveError:
            return None
        base = context.layers.free_layer_name("XenSaveFile")
        context.config[path_join(base, "location")] = file.location
        context.add_layer(XenSaveFile(context, base, base))
        name = context.layers.free_layer_name("XenSaveLayer")
        context.config[path_join(name, "base_layer")] = base
        return XenSaveLayer(context, name, name)
