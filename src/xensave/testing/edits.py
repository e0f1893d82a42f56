"""Images with a field changed, and images as JSON: what a test of a restore begins with.

>>> from pathlib import Path
>>> context = Path("examples/hvm1.ctx").read_bytes()
>>> broken = edited(context, "CPU[0].cr4=0xffffffff", release="4.17")
>>> len(broken) == len(context), broken == context
(True, False)
"""

from __future__ import annotations

import io
import json
import tempfile

from xensave.edit.apply import EditRequest, edit
from xensave.edit.assignment import parse_assignment
from xensave.edit.document.decode import SCHEMA, decode_events
from xensave.edit.document.encode import Document, write_document
from xensave.edit.document.members import Json
from xensave.records.json_text import json_pieces
from xensave.source import open_source


def edited(image: bytes, *assignments: str, release: str | None = None) -> bytes:
    """Returns an image, stream or context with fields changed, as `xensave edit --set` does.

    Whether any release takes the result is not asked. `release` names the layouts where the image
    does not. Raises UsageError for an assignment that cannot be carried out.
    """
    request = EditRequest(
        [parse_assignment(text) for text in assignments], None, release, force=True
    )
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/edited"
        edit(image, path, request)
        with open(path, "rb") as file:
            return file.read()


def decoded(image: bytes, *, release: str | None = None) -> dict[str, Json]:
    """Returns an image as `xensave decode` prints it.

    >>> from pathlib import Path
    >>> found = decoded(Path("examples/hvm1.ctx").read_bytes())
    >>> [record["name"] for record in found["events"][0]["records"]][:2]
    ['HEADER', 'CPU']
    """
    with open_source(image) as source:
        events = [*decode_events(source, release)]
    document = {"xensave": SCHEMA, "image": None, "events": events}
    # Bytes become text, as they do where it is printed.
    printed: dict[str, Json] = json.loads("".join(json_pieces(document)))
    return printed


def encoded(document: dict[str, Json], image: bytes) -> bytes:
    """Returns the image of a document; page contents are those of `image`.

    Raises Malformed, naming the member, for a document that describes none.
    """
    with tempfile.TemporaryFile() as out, open_source(image) as source:
        write_document(Document.load(io.StringIO(json.dumps(document))), source, out.fileno())
        out.seek(0)
        return out.read()
