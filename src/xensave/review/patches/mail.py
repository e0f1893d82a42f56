"""Mail and patch files to messages: mbox, format-patch files, git show, a plain diff.

A message is one mail, or what plays its part: a commit as `git show` prints it, or a bare diff.
"""

from __future__ import annotations

import codecs
import email
import email.errors
import email.header
import email.policy
import email.utils
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from typing import NamedTuple

from xensave.errors import LimitExceeded, Malformed
from xensave.review.patches.trailers import Trailer, trailers

# As git-mailsplit has it: "From ", a sender, and a date; a sentence that begins so is none.
# Nothing here can match one text in two ways: a mail that nearly matches takes linear time.
_SEPARATOR = re.compile(r"^From \S(?>.*?\d:\d\d:\d\d).* \d{4}.*$", re.MULTILINE)
_HEADER = re.compile(r"\A\s*+(?:[A-Za-z][A-Za-z0-9-]*+:[ \t].*+\n(?:[ \t].*+\n)*+)++\n")
_COMMIT = re.compile(
    r"^commit [0-9a-f]{40,64}\b(?: \(from ([0-9a-f]+)\))?.*\n(?=(?:Merge: .*\n)?Author: )",
    re.MULTILINE,
)
_TAG = re.compile(r"\[(?=[^\[\]]*+\])([^\[\]]*\b(?:PATCH|RFC)\b[^\[\]]*+)\]\s*", re.IGNORECASE)
_RE = re.compile(r"^\s*(?:(?:re|aw|fwd?):\s*)+", re.IGNORECASE)
_NESTED = 50
_NESTING = re.compile(r"^content-type:\s*+(?:multipart|message)/", re.MULTILINE | re.IGNORECASE)
PARTS = 1000
"""Content headers of one mail; patches come in a few parts."""
LINES = 1 << 19
"""Lines of one input: each is an object of its own to who parses mails, or patches.

From Xen 4.13 to 4.17 all of its tree changed in 331,141 lines of a diff.
"""
HEADER = 8192
"""Characters of a header that the email package may parse: it takes time by their square."""
_CONTENT = re.compile(r"^content-[a-z-]+:.*+(?:\n[ \t].*+)*+", re.MULTILINE | re.IGNORECASE)
_DIFFSTAT = re.compile(
    r"^ \d{1,6} files? changed(?:, (\d{1,9}) insertions?\(\+\))?(?:, (\d{1,9}) deletions?\(-\))?$",
    re.MULTILINE,
)
# What ends a line for str.splitlines, which the email package calls; "\r\n" is one by then.
_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# What terminals show in colour, as git diff --color prints it.
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[mK]")
_ATTACHED = re.compile(r"(?:octet-stream|(?:x-)?(?:patch|diff|mbox))$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DIFF = re.compile(r"^(?:diff --(?:git|cc|combined) |--- \S.*\n\+\+\+ \S|Index: \S)", re.MULTILINE)


class Message(NamedTuple):
    """A mail, a commit or a bare diff. Missing headers are empty; `number` of `total` in a series.

    `version` is that of "[PATCH v2 1/3]", `source` the name of the input it came from, `parent` the
    commit that a merge is shown against.
    """

    body: str
    subject: str = ""
    author: str = ""
    to: str = ""
    cc: str = ""
    date: datetime | None = None
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    version: int = 1
    number: int = 1
    total: int = 1
    source: str = ""
    parent: str = ""

    @property
    def title(self) -> str:
        """The subject without "Re:" and "[PATCH ...]"."""
        return _TAG.sub("", _RE.sub("", self.subject)).strip()

    @property
    def sender(self) -> str:
        """The author's address, by which one sender is known again; "" where none is given."""
        return email.utils.parseaddr(self.author)[1].casefold()

    @property
    def is_reply(self) -> bool:
        """Whether this answers a mail, rather than sends a patch or a cover letter."""
        return bool(_RE.match(self.subject))

    @property
    def diff(self) -> str:
        """The diff, from its first line on; "" where there is none, or in an answer."""
        return "" if self.is_reply else self.shown

    @property
    def shown(self) -> str:
        """The diff, in an answer too, where it is not quoted."""
        diff = DIFF.search(self.body)
        return "" if diff is None else self.body[diff.start() :]

    @property
    def diffstat(self) -> tuple[int, int] | None:
        """How many lines the diffstat says are added and removed; None without one."""
        stats = _DIFFSTAT.findall(self.body.removesuffix(self.shown))
        return (int(stats[0][0] or 0), int(stats[0][1] or 0)) if len(stats) == 1 else None

    def as_patch(self) -> Message:
        """Returns an answer, or what was passed on, as the patch that it holds."""
        return self._replace(subject=_RE.sub("", self.subject))

    @property
    def trailers(self) -> tuple[Trailer, ...]:
        """Who signed, reviewed or acked, as the text before the diff says."""
        diff = DIFF.search(self.body)
        text = self.body if diff is None else self.body[: diff.start()]
        return trailers(text, self.version, in_reply=self.is_reply)


def messages(data: bytes, source: str = "") -> list[Message]:
    """Returns the messages of a file, in order; text that is no mail is one bare message.

    Raises Malformed for a mail of parts within parts without end, LimitExceeded for one whose
    Content headers are longer than HEADER, and for more than LINES lines, as they come or decoded.
    """
    text = _COLOUR.sub("", data.decode("utf-8", "surrogateescape").replace("\r\n", "\n"))
    _refuse_lines(source, text)
    thread = _messages(text)
    # A part may come encoded.
    _refuse_lines(source, *(message.body for message in thread))
    return [message._replace(source=source) for message in thread]


def _refuse_lines(source: str, *texts: str) -> None:
    if sum(text.count(end) for text in texts for end in _ENDS) > LINES:
        error = LimitExceeded(f"more than {LINES} lines of mails or patches")
        raise error.about(source) if source else error


def _messages(text: str) -> list[Message]:
    starts = [match.start() for match in _SEPARATOR.finditer(text) if _begins_mail(text, match)]
    if starts:
        ends = [*starts[1:], len(text)]
        return [
            _mail(text[start:end].split("\n", 1)[1])
            for start, end in zip(starts, ends, strict=True)
        ]
    if _COMMIT.search(text):
        return list(_commits(text))
    if _HEADER.match(text) and re.search(r"^(Subject|From):", text, re.MULTILINE | re.IGNORECASE):
        return [_mail(text.lstrip())]
    return [Message(body=_printable(text))]


def _begins_mail(text: str, separator: re.Match[str]) -> bool:
    """A separator stands at the start or after an empty line, and headers follow it."""
    start = separator.start()
    after = text[separator.end() + 1 : separator.end() + 200]
    return (start == 0 or text[start - 1] == "\n") and bool(
        re.match(r">?[A-Za-z][A-Za-z0-9-]*:", after)
    )


def _mail(text: str) -> Message:
    parsed = _parsed(text)
    subject = _header(parsed, "Subject")
    tag = _TAG.search(subject)
    version, number, total = _numbering(tag[1] if tag else "")
    return Message(
        body=re.sub(r"^>(>*From )", r"\1", _text(parsed), flags=re.MULTILINE),
        subject=subject,
        author=_header(parsed, "From"),
        to=_header(parsed, "To"),
        cc=_header(parsed, "Cc"),
        date=_date(_header(parsed, "Date")),
        message_id=_header(parsed, "Message-ID"),
        in_reply_to=_header(parsed, "In-Reply-To"),
        references=_header(parsed, "References"),
        version=version,
        number=number,
        total=total,
    )


def _parsed(text: str) -> EmailMessage:
    """Reads a mail, unless that would take longer than its length does.

    The email package reads a header in time by the square of its length, and recurs for each part
    within a part.
    """
    if len(_NESTING.findall(text)) > _NESTED:
        raise Malformed(f"a mail of more than {_NESTED} parts within parts")
    contents = [len(header[0]) for header in _CONTENT.finditer(text)]
    if len(contents) > PARTS:
        raise LimitExceeded(f"a mail of more than {PARTS} parts")
    if contents and max(contents) > HEADER:
        raise LimitExceeded(f"a mail with a Content header of more than {HEADER} characters")
    data = text.encode("utf-8", "surrogateescape")
    try:
        return email.message_from_bytes(data, policy=email.policy.default)
    except RecursionError as error:
        raise Malformed("a mail of parts within parts without end") from error


_UNREADABLE = (
    ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError,
    NameError, email.errors.MessageError,
)  # fmt: skip
"""What the email package and the codecs raise for headers, charsets and dates that are none."""


def _header(parsed: EmailMessage, name: str) -> str:
    """A header on one line; one that the email package cannot parse is taken as it stands."""
    raw = next((str(v) for k, v in parsed.raw_items() if k.lower() == name.lower()), "")
    if len(raw) > HEADER:
        return _printable(" ".join(_CONTROL.sub(" ", raw).split()))
    try:
        value = parsed[name]
    except _UNREADABLE:
        # Comments within comments are what it cannot follow however deep.
        value = raw.replace("(", " ")
    text = str(value or "")
    if "=?" in text:
        # What the email package leaves encoded, for it holds line ends, say.
        with suppress(*_UNREADABLE):
            parts = email.header.decode_header(text)
            text = str(email.header.make_header([(part, _charset(name)) for part, name in parts]))
    return _printable(" ".join(_CONTROL.sub(" ", text).split()))


def _charset(name: str | None) -> str:
    try:
        return codecs.lookup(name or "utf-8").name
    except (LookupError, ValueError):
        return "latin-1"


def _text(parsed: EmailMessage) -> str:
    """The text parts and attached patches of a mail, decoded, one after the other."""
    parts = []
    for part in parsed.walk():
        plain = part.get_content_maintype() == "text" and part.get_content_subtype() != "html"
        if not plain and not _ATTACHED.match(part.get_content_subtype()):
            continue
        payload = part.get_payload(decode=True)
        raw = payload if isinstance(payload, bytes) else b""
        text = _decode(raw, part.get_content_charset() or "utf-8")
        if plain or DIFF.search(text.replace("\r\n", "\n")):
            parts.append(text)
    return "\n".join(parts).replace("\r\n", "\n")


def _decode(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset, "replace")
    except _UNREADABLE:
        # No such charset, or no name of one.
        return raw.decode("utf-8", "replace")


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _date(text: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text) if text else None
    except _UNREADABLE:
        return None


def _numbering(tag: str) -> tuple[int, int, int]:
    """Version, number and total of "PATCH v2 1/3".

    >>> _numbering("PATCH for-4.14 v2 1/3"), _numbering("PATCH")
    ((2, 1, 3), (1, 1, 1))
    """
    version = re.search(r"\bv(\d{1,3})\b", tag, re.IGNORECASE)
    place = re.search(r"\b(\d{1,4})/(\d{1,4})\b", tag)
    return (
        int(version[1]) if version else 1,
        int(place[1]) if place else 1,
        int(place[2]) if place else 1,
    )


def _commits(text: str) -> Iterator[Message]:
    """Commits as git show and git log -p print them: the message is indented by four spaces."""
    matches = list(_COMMIT.finditer(text))
    starts = [match.start() for match in matches]
    for start, end, match in zip(starts, [*starts[1:], len(text)], matches, strict=True):
        lines = text[start:end].split("\n")
        gap = next((n for n, line in enumerate(lines) if not line.strip()), len(lines))
        head = dict(line.split(":", 1) for line in lines[1:gap] if ":" in line)
        body = "\n".join(line.removeprefix("    ") for line in lines[gap + 1 :])
        diff = DIFF.search("\n".join(lines[gap + 1 :]))
        if diff:
            # The diff's own lines keep their indentation.
            raw = "\n".join(lines[gap + 1 :])
            log = raw[: diff.start()].split("\n")
            body = "\n".join(line.removeprefix("    ") for line in log) + raw[diff.start() :]
        subject = _printable(body.lstrip("\n").split("\n", 1)[0])
        if match[1]:
            # A merge, once against each of its parents.
            subject += f" (from {match[1][:10]})"
        yield Message(
            body=_printable(body),
            subject=subject,
            author=_printable(head.get("Author", "").strip()),
            date=_commit_date(head.get("Date", "").strip()),
            parent=match[1] or "",
        )


def _commit_date(text: str) -> datetime | None:
    """A date as git shows it: "Fri Jan 3 17:06:03 2020 +0100", or one that mail has."""
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %Y %z")
    except ValueError:
        return _date(text)
