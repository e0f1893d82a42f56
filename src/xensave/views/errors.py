"""An error as JSON: what a script gets where it asked for a document."""

from __future__ import annotations

import json

from xensave.errors import XensaveError


def error_object(error: XensaveError) -> dict[str, object]:
    """Returns an error as an object: its kind, message, and where in the input it stands.

    >>> from xensave.errors import Malformed
    >>> error_object(Malformed("bad magic", offset=8))["offset"]
    8
    """
    public = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "xensave.errors")
    return {
        "kind": next(public),
        "message": error.message,
        "source": error.source,
        "offset": error.offset,
        "record": error.record,
        "path": error.path,
    }


def error_json(error: XensaveError) -> str:
    """Returns a document that holds nothing but an error.

    >>> error_json(XensaveError("no"))[:30]
    '{"error": {"kind": "XensaveErr'
    """
    return json.dumps({"error": error_object(error)})
