"""A domain's configuration, as xl saves it before the stream."""

import json
import re
from functools import lru_cache

from xensave.container.description import Config, Json
from xensave.container.frames.xl import CONFIG_LIMIT, OptionalData
from xensave.errors import LimitExceeded, Malformed, XensaveError

_INT64 = range(-(1 << 63), 1 << 63)


@lru_cache(maxsize=4)
def parse_config(optional: bytes) -> Config:
    """Reads the optional data of the xl header; what is wrong with it goes into `wrong`.

    It is read once for all who ask: the rules, the facts, the summary.
    """
    try:
        data = OptionalData.parse(optional)
    except XensaveError as error:
        return Config(wrong=error)
    text = data.text
    if not text.strip().startswith("{"):
        return Config(text)
    if len(text) > CONFIG_LIMIT:
        long = f"a configuration of {len(text)} characters, the limit is {CONFIG_LIMIT}"
        return Config(text, wrong=LimitExceeded(long, record="xl header"))
    json_text = _json_of(text)
    try:
        config, end = _DECODER.raw_decode(json_text)
        _check_utf_8(data.config.partition(b"\0")[0])
    except ValueError as error:
        bad = Malformed(f"configuration is no JSON: {error}", record="xl header")
        return Config(text, wrong=bad)
    except RecursionError:
        deep = LimitExceeded("a configuration is nested too deep to be read", record="xl header")
        return Config(text, wrong=deep)
    return Config(text, config, rest=json_text[end:].strip(_BLANKS))


def written_values(config: Config) -> dict[str, Json]:
    """Returns the values of a configuration that was parsed, each number as it is written.

    >>> written_values(Config('{"a": 99999999999999999999, "a": 1}'))
    {'a': 99999999999999999999}
    """
    values: dict[str, Json] = _WRITTEN.raw_decode(_json_of(config.text))[0]
    return values


def _json_of(text: str) -> str:
    """Returns what libxl parses: to it a text is a string of C, which a NUL ends."""
    return text.partition("\0")[0].lstrip(_BLANKS)


def _check_utf_8(data: bytes) -> None:
    if not _UTF_8.fullmatch(data):
        raise ValueError("it has bytes that are no UTF-8")


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _first_wins(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Returns an object as libxl looks it up: it takes the first of two members of one name."""
    members = dict(pairs)
    if len(members) < len(pairs):
        members.update(reversed(pairs))
    return members


def _integer(text: str) -> int | float:
    """Reads a number; one of more than 64 bits is no integer to libxl (json_callback_number())."""
    if len(text) > len(str(_INT64.start)):
        return float(text)
    number = int(text)
    return number if number in _INT64 else float(text)


_BLANKS = " \t\n\v\f\r"
_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_wins, parse_int=_integer, parse_constant=_no_constant
)
_WRITTEN = json.JSONDecoder(object_pairs_hook=_first_wins, parse_constant=_no_constant)
# What libxl's parser takes for UTF-8: the number of bytes counts, not their value.
_UTF_8 = re.compile(
    rb"(?:[\0-\x7f]|[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3})*+"
)
