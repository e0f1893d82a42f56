"""Google's Cloud Storage: each range is of the generation that was seen first."""

from __future__ import annotations

import logging
from typing import Protocol, cast

from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.patience import Changed, Denied
from xensave.source.remote.store import FileSystem, Info, Store


class _Gs(Protocol):
    """What gcsfs has beside fsspec's words."""

    loop: object

    async def _get_object(self, path: str) -> Info: ...


class GsStore(Store):
    """A bucket."""

    def entry(self, address: str) -> StoreObject:
        """Returns what the bucket says of an object: fsspec's `info` asks for a folder as well."""
        from fsspec.asyn import sync

        fs = cast("_Gs", self._fs)
        info = self._patient(lambda: cast(Info, sync(fs.loop, fs._get_object, self._path)), address)
        return self._entry_of(address, info)

    def check_unchanged(self, of: StoreObject) -> None:
        """Looks again only where the store named no generation."""
        if of.generation is None:
            super().check_unchanged(of)

    def _open(self, address: str) -> tuple[FileSystem, str]:
        # What goes wrong is an error that comes here; the library prints it with a traceback too.
        logger = logging.getLogger("gcsfs")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        return super()._open(address)

    def _range(self, of: StoreObject, start: int, end: int) -> bytes:
        if of.generation is None:
            return super()._range(of, start, end)
        try:
            return bytes(self._fs.cat_file(self._path, start, end, generation=of.generation))
        except FileNotFoundError as error:
            raise Changed from error

    def _known(self, error: Exception) -> Changed | Denied | None:
        if str(error).startswith("Forbidden"):
            return Denied(str(error))
        code = getattr(error, "code", None)
        return Denied(str(error)) if str(code) in ("400", "401", "403") else None
