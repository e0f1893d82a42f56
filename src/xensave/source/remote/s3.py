"""Amazon's S3, and what speaks like it: each range is held to the entity tag by If-Match."""

from __future__ import annotations

from typing import Protocol, cast

from xensave.source.remote.addresses import StoreObject
from xensave.source.remote.patience import Changed, Denied
from xensave.source.remote.store import Store


class _S3(Protocol):
    """What s3fs has beside fsspec's words."""

    loop: object

    def split_path(self, path: str) -> tuple[str, str, str | None]:
        """Returns bucket, key and version."""

    async def _call_s3(self, method: str, **kwargs: str) -> dict[str, _Body]: ...


class _Body(Protocol):
    async def __aenter__(self) -> _Body: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def read(self) -> bytes: ...


class S3Store(Store):
    """A bucket."""

    def check_unchanged(self, of: StoreObject) -> None:
        """Does nothing: each range was of the object that was seen first."""

    def _range(self, of: StoreObject, start: int, end: int) -> bytes:
        # s3fs has no way to name the tag of the object that is meant.
        from fsspec.asyn import sync

        store = cast("_S3", self._fs)
        bucket, key, version = store.split_path(self._path)
        extra = {"VersionId": version} if version else {}
        if of.etag:
            extra["IfMatch"] = of.etag

        async def read() -> bytes:
            answer = await store._call_s3(
                "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", **extra
            )
            async with answer["Body"] as body:
                return bytes(await body.read())

        return bytes(sync(store.loop, read))

    def _known(self, error: Exception) -> Changed | Denied | None:
        """Tells a failed If-Match (412), and what will not change, through what wraps it."""
        cause: BaseException | None = error
        while cause is not None:
            response = getattr(cause, "response", None)
            if isinstance(response, dict):
                status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                return Changed() if status == 412 else None
            if type(cause).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
                return Denied(str(cause))
            cause = cause.__cause__ or cause.__context__
        return None
