"""What varstored saves of a guest's firmware: its UEFI variables.

Source: include/xapidb.h and xapidb-lib.c of xapi-project/varstored.
"""

import struct
from typing import NamedTuple

from xensave.errors import LimitExceeded, Malformed

MAGIC = b"VARS"
VERSIONS = (1, 2)
SIZE_LIMIT = 128 << 10
"""varstored's own limit for its file."""

_HEAD = struct.Struct("<4sIQQ")
_LENGTH = struct.Struct("<Q")
_MOR_AND_PPI = {1: 0, 2: 8 + 0x104}
_FIXED = 16 + 4 + 16 + 32
_RECORD = "xenopsd Varstored"


class Variable(NamedTuple):
    """A UEFI variable: its name, its namespace (a GUID's bytes), attributes, and its data."""

    name: str
    guid: bytes
    attributes: int
    data: bytes


def parse(body: bytes | memoryview) -> tuple[Variable, ...]:
    """Returns the variables.

    Raises Malformed where a length does not fit, LimitExceeded above SIZE_LIMIT.

    >>> parse(_HEAD.pack(MAGIC, 1, 0, 0))
    ()
    """
    if len(body) > SIZE_LIMIT:
        raise LimitExceeded(f"{len(body)} bytes, the limit is {SIZE_LIMIT}", record=_RECORD)
    if len(body) < _HEAD.size:
        raise Malformed(f"{len(body)} bytes, at least {_HEAD.size} expected", record=_RECORD)
    magic, version, count, _length = _HEAD.unpack_from(body)
    if magic != MAGIC or version not in VERSIONS:
        raise Malformed(f"begins with {magic!r}, version {version}", record=_RECORD)
    at = _HEAD.size + _MOR_AND_PPI[version]
    variables = []
    for _ in range(count):
        name, at = _blob(body, at)
        data, at = _blob(body, at)
        if at + _FIXED > len(body):
            raise Malformed(f"{count} variables in {len(body)} bytes", record=_RECORD)
        guid, attributes = (
            bytes(body[at : at + 16]),
            int.from_bytes(body[at + 16 : at + 20], "little"),
        )
        at += _FIXED
        variables.append(Variable(name.decode("utf-16-le", "replace"), guid, attributes, data))
    return tuple(variables)


def _blob(body: bytes | memoryview, at: int) -> tuple[bytes, int]:
    end = at + _LENGTH.size
    if end > len(body):
        raise Malformed("a variable's length leaves the record", record=_RECORD)
    length = _LENGTH.unpack_from(body, at)[0]
    if length > len(body) - end:
        raise Malformed(f"{length} bytes of a variable leave the record", record=_RECORD)
    return bytes(body[end : end + length]), end + length
