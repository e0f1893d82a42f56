"""Objects of stores: their addresses (`s3://bucket/guest.img`), each kind of store, its source."""

from __future__ import annotations

import os


def is_address(text: str) -> bool:
    """Tells whether this is an address with a scheme; `file://` ones are paths.

    >>> is_address("s3://bucket/a.img"), is_address("images/a.img"), is_address("file:///a.img")
    (True, False, False)
    """
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.isalnum() and scheme not in ("file", "local")


def local_path(text: str) -> str:
    """Returns the path that a `file://` address names; other text as it is.

    Bytes of the path may be written as % and two hexadecimal digits there (RFC 8089).

    >>> local_path("file:///var/lib/xen/a%20b.img"), local_path("a%20b.img")
    ('/var/lib/xen/a b.img', 'a%20b.img')
    """
    for prefix in ("file://", "local://"):
        if text.startswith(prefix):
            from urllib.parse import unquote_to_bytes

            return os.fsdecode(unquote_to_bytes(os.fsencode(text[len(prefix) :])))
    return text


def listed(address: str) -> str:
    r"""Returns an address as text that a table or a mail can hold, and that names the same.

    A file's name may be any bytes: one that is no Unicode is written as a `file://` address.

    >>> listed("images/a\udcff.img"), listed("images/a.img")
    ('file://images/a%FF.img', 'images/a.img')
    """
    try:
        address.encode()
    except UnicodeEncodeError:
        if is_address(address):
            return address.encode("utf-8", "backslashreplace").decode()
        from urllib.parse import quote

        return "file://" + quote(os.fsencode(address))
    return address
