"""A domain's configuration, as xl saves it before the stream."""

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from xensave.container.frames.xl import CONFIG_LIMIT, OptionalData
from xensave.errors import LimitExceeded, Malformed, XensaveError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Config(NamedTuple):
    """The configuration: its text as it was saved (libxl's JSON, or xl's own syntax), and parsed.

    `values` is {} where the text is no JSON object; `wrong` says why, if it should have been one.
    """

    text: str = ""
    values: Mapping[str, Json] = MappingProxyType({})
    wrong: XensaveError | None = None

    @classmethod
    def parse(cls, optional: bytes) -> "Config":
        """Read the optional data of the xl header; what is wrong with it goes into `wrong`."""
        return _parse(optional)

    def checked(self) -> "Config":
        """Return it. Raises what is wrong with it."""
        if self.wrong is not None:
            raise self.wrong
        return self

    def get(self, *path: str) -> object:
        """Return a value by its path, None where there is none.

        >>> Config("", {"c_info": {"type": "pvh"}}).get("c_info", "type")
        'pvh'
        """
        place: object = self.values
        for key in path:
            if not isinstance(place, Mapping):
                return None
            place = place.get(key)
        return place


@lru_cache(maxsize=4)
def _parse(optional: bytes) -> Config:
    """Read a configuration once for all who ask: the rules, the facts, the summary."""
    try:
        text = OptionalData.parse(optional).text
    except XensaveError as error:
        return Config(wrong=error)
    if not text.strip().startswith("{"):
        return Config(text)
    if len(text) > CONFIG_LIMIT:
        long = f"a configuration of {len(text)} characters, the limit is {CONFIG_LIMIT}"
        return Config(text, wrong=LimitExceeded(long, record="xl header"))
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        bad = Malformed(f"configuration is no JSON: {error}", record="xl header")
        return Config(text, wrong=bad)
    return Config(text, config)
