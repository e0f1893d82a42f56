"""Google's Cloud Storage: each range is of the generation that was seen first."""

from __future__ import annotations

import logging
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.patience import Changed, Denied
from xensave.source.remote.store import FileSystem, Info, Store

if TYPE_CHECKING:
    from aiohttp import ClientSession, TraceConfig, TraceRequestEndParams


class _Gs(Protocol):
    """What gcsfs has beside fsspec's words."""

    loop: object

    async def _get_object(self, path: str) -> Info: ...


class _Forbidden(OSError):
    """A refusal (403). gcsfs looks for its own words in it: it lists where it may not get."""


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
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(address, session_kwargs={"trace_configs": [_watched()]})
        return cast(FileSystem, fs), str(path)

    def _range(self, of: StoreObject, start: int, end: int) -> bytes:
        if of.generation is None:
            return super()._range(of, start, end)
        try:
            return bytes(self._fs.cat_file(self._path, start, end, generation=of.generation))
        except FileNotFoundError as error:
            raise Changed from error

    def _known(self, error: Exception) -> Changed | Denied | None:
        code = getattr(error, "code", None)
        refused = isinstance(error, _Forbidden) or str(code) in ("400", "401", "403")
        return Denied(str(error)) if refused else None


@cache
def _watched() -> TraceConfig:
    """Returns what sees each answer's status: gcsfs has it of a refusal in words only."""
    from aiohttp import TraceConfig

    async def ended(
        _session: ClientSession, _context: object, params: TraceRequestEndParams
    ) -> None:
        if params.response.status == HTTPStatus.FORBIDDEN:
            raise _Forbidden(f"Forbidden: {params.url}")

    watched = TraceConfig()
    watched.on_request_end.append(ended)
    return watched
