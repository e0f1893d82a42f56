"""What others write as text: a host's policies, patches, a server's answers, documents, words."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from email.message import Message
from functools import cache

from fuzz.corpus import EXAMPLES, seeds
from fuzz.printing import printable
from xensave.catalogue import MASTER
from xensave.catalogue.dates import version
from xensave.container.formats import FORMATS
from xensave.edit.apply import EditRequest, edit
from xensave.edit.assignment import parse_assignment
from xensave.edit.document.encode import Document, write_document
from xensave.errors import Malformed, UsageError, XensaveError
from xensave.policy.compare import compare_policies
from xensave.policy.host import Host
from xensave.policy.hostfile import host_of_text, read_host
from xensave.policy.restore import entries_of, restored
from xensave.review.patchwork.client import Client
from xensave.review.patchwork.run import Done, review_all
from xensave.review.run import ReviewSetting, review_patches
from xensave.review.session import Request as ReviewRequest
from xensave.review.session import setting_of
from xensave.source import open_source
from xensave.views.guest.policy import changes_json, changes_lines, policy_json, policy_lines
from xensave.views.review.github import github
from xensave.views.review.gitlab import gitlab
from xensave.views.review.objects import as_json
from xensave.views.review.rdjson import rdjson
from xensave.views.review.reply import reply
from xensave.views.review.sarif import sarif
from xensave.views.review.text import text as review_text

SERVER = "http://patchwork.invalid"
BLANKS = str.maketrans("", "", "\n\t")


def assignment(data: bytes) -> None:
    """Words of `edit --set`, tried on an image that is whole."""
    change = parse_assignment(data.decode("utf-8", "surrogateescape"))
    edit(seeds()["kernel"], None, EditRequest([change], "4.17", "4.17", force=True))


def document(data: bytes) -> None:
    """The JSON that `encode` makes an image of."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # The command refuses such a file before it is parsed.
        raise Malformed(str(error)) from error
    found = Document.load(io.StringIO(text))
    with open_source(seeds()["xl"]) as source, open("/dev/null", "wb") as out:
        write_document(found, source, out.fileno())


def host(data: bytes) -> None:
    """What a host says of its policies."""
    found = host_of_text(data.decode("latin-1"), "input")
    for policy in (found.hvm_max, found.pv_max, found.hvm_default, found.physical):
        if policy is not None:
            printable(policy_lines(policy, 100))
            json.dumps(policy_json(policy))
            changes = compare_policies(_known().hvm_max or policy, policy, version(MASTER))
            printable(changes_lines(changes, 100))
            json.dumps(changes_json(changes))
    if found.hvm_max is not None:
        restored(*entries_of(found.hvm_max), "4.17", host=_known())
    restored(*entries_of(_known().hvm_max or found.hvm_max), "4.17", host=found)  # type: ignore[arg-type]


@cache
def _known() -> Host:
    return read_host(str(EXAMPLES / "hosts" / "amd.txt"))


def metadata(data: bytes) -> None:
    """What a frame is made of: xl's configuration, libvirt's XML, xenopsd's record of the VM."""
    for each in FORMATS:
        with suppress(XensaveError):
            each.front(data)
        with suppress(XensaveError):
            each.describe(data)


@cache
def _setting() -> ReviewSetting:
    return setting_of(ReviewRequest())


def patch(data: bytes) -> None:
    """A mail or a thread of them, and every form of what is said of it."""
    result = review_patches([("input", data)], _setting())
    printable(line.translate(BLANKS) for line in review_text(result).split("\n"))
    for view in (github, gitlab, as_json, rdjson, sarif):
        view(result)
    with suppress(UsageError):
        # A mail without an id cannot be replied to.
        reply(result, None)


class _Answers:
    """Answers any request with the same bytes."""

    def __init__(self, data: bytes) -> None:
        # What follows the JSON on a line of its own is the header that names the next page.
        json_text, _, link = data.rpartition(b"\n")
        self._data, self._link = (json_text, link) if link.startswith(b"<") else (data, b"")

    def open(self, _request: object, timeout: float) -> _Answers:
        return self

    def read(self, n: int) -> bytes:
        return self._data[:n]

    @property
    def headers(self) -> Message:
        headers = Message()
        headers["Link"] = self._link.decode("latin-1").translate(BLANKS)
        return headers

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *_: object) -> None:
        return


def patchwork(data: bytes) -> None:
    """A server's answers: lists of events, series, and the mails of a series."""
    client = Client(SERVER, pause=0.0, sleep=lambda _: None)
    client._opener = _Answers(data)  # type: ignore[assignment]
    if data.startswith(b"["):
        for _ in client.completed("xen-devel", "2020-01-01"):
            pass
        return
    mails = [("input", data)]
    for found in review_all(client, [1], lambda *_: review_patches(mails, _setting()), Done(None)):
        json.dumps([check.description for check in found.checks])
