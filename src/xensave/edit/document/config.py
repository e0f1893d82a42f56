"""A domain's configuration as libxl writes it: JSON in the layout of its library.

libxl used YAJL alone up to 4.20, and can use json-c from 4.21 on.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum


class Style(StrEnum):
    """The library that wrote a configuration."""

    YAJL = "yajl"
    JSON_C = "json-c"


_EMPTY = re.compile(r"^( *)(.*)(\{\}|\[\])(,?)$", re.MULTILINE)


def config_bytes(values: object, style: Style = Style.YAJL) -> bytes:
    r"""Returns a configuration as it lies in the xl header's optional data, NUL included.

    >>> config_bytes({"c_info": {"type": "pvh"}, "disks": []}).decode().splitlines()[4:]
    ['    "disks": [', '', '    ]', '}', '\x00']
    >>> config_bytes({"kernel": "/boot/x", "arch_x86": {}}, Style.JSON_C).decode().splitlines()
    ['{', '  "kernel":"\\/boot\\/x",', '  "arch_x86":{', '  }', '}\x00']
    """
    text = _yajl(values) + "\n" if style == Style.YAJL else _json_c(values)
    return (text + "\0").encode("utf-8", "surrogateescape")


def style_of(text: str) -> Style:
    """Tells which library wrote a configuration, by its first member."""
    return Style.JSON_C if re.match(r'\{\n  "[^"]*":', text) else Style.YAJL


def _yajl(values: object) -> str:
    """Lays out as YAJL does: it opens an empty map or list, and closes it two lines below."""
    text = json.dumps(values, indent=4, ensure_ascii=False)
    return _EMPTY.sub(lambda m: f"{m[1]}{m[2]}{m[3][0]}\n\n{m[1]}{m[3][1]}{m[4]}", text)


def _json_c(values: object) -> str:
    """Lays out as json-c does: an empty map takes two lines, and slashes are escaped."""
    text = json.dumps(values, indent=2, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("/", "\\/")
    return _EMPTY.sub(lambda m: m[0] if m[3] == "[]" else f"{m[1]}{m[2]}{{\n{m[1]}}}{m[4]}", text)
