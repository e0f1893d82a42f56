"""A review as the mail that answers the patch: the hunk quoted, each objection under its line."""

from __future__ import annotations

import email.policy
import textwrap
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, getaddresses

from xensave.errors import UsageError
from xensave.review.patches.mail import Message
from xensave.review.patches.patch import FilePatch, Hunk
from xensave.review.result import Review, ReviewResult
from xensave.rules.numbers.model import Objection
from xensave.views.review.lines import Lines, patch_of
from xensave.views.text.escape import escape

_WIDTH = 72


def reply(result: ReviewResult, sender: str | None = None) -> str:
    """Returns a mail for each patch that draws an objection, as `git send-email` takes them.

    Raises UsageError where there is no mail to answer, or nothing to say.
    """
    wanted = [review for review in result.newest if review.objections]
    if not wanted:
        raise UsageError("no objection: there is nothing to reply")
    mails = [_mail(review, sender) for review in wanted]
    if len(mails) == 1:
        return mails[0]
    return "".join(f"From xensave Thu Jan  1 00:00:00 1970\n{mail}\n" for mail in mails)


def _mail(review: Review, sender: str | None) -> str:
    message = review.message
    if message is None or not message.message_id:
        raise UsageError(f"{review.title}: no mail to reply to: the input has no Message-ID")
    mail = EmailMessage(policy=email.policy.SMTP.clone(linesep="\n", max_line_length=200))
    if sender:
        mail["From"] = sender
    mail["To"] = message.author
    others = _others(message, sender)
    if others:
        mail["Cc"] = others
    subject = _printable(message.subject)
    mail["Subject"] = subject if message.is_reply else f"Re: {subject}"
    mail["In-Reply-To"] = message.message_id
    mail["References"] = f"{message.references} {message.message_id}".strip()
    mail.set_content("\n".join(_body(review, message)) + "\n", charset="utf-8", cte="8bit")
    return mail.as_bytes().decode("utf-8", "replace")


def _others(message: Message, sender: str | None) -> str:
    """Everyone whom the patch went to, once, save its author and the sender."""
    skip = {address for _, address in getaddresses([message.author, sender or ""])}
    others: dict[str, str] = {}
    for name, address in getaddresses([message.to, message.cc]):
        if address.isascii() and "@" in address and address not in skip:
            others.setdefault(address, formataddr((name, address)))
    return ", ".join(others.values())


def _body(review: Review, message: Message) -> Iterator[str]:
    when = f"On {format_datetime(message.date)}, " if message.date else ""
    yield f"{when}{_printable(message.author) or 'someone'} wrote:"
    placed: set[int] = set()
    lines = Lines(review)
    for patch in review.files:
        mine = [o for o in review.objections if patch_of(review, o) is patch]
        shown = [o for o in mine if lines.at(o) is not None]
        placed |= {id(objection) for objection in shown}
        if shown:
            yield from _quoted(patch, shown, lines)
    rest = [objection for objection in review.objections if id(objection) not in placed]
    for objection in rest:
        yield ""
        yield from _remark(objection, with_place=True)


def _printable(text: str) -> str:
    """A line of the patch without what a terminal would act upon; its tabs stay."""
    return "\t".join(escape(part) for part in text.split("\t"))


def _quoted(patch: FilePatch, objections: list[Objection], lines: Lines) -> Iterator[str]:
    yield f"> --- {f'a/{patch.old}' if patch.old else '/dev/null'}"
    yield f"> +++ {f'b/{patch.new}' if patch.new else '/dev/null'}"
    at: dict[int, list[Objection]] = {}
    for objection in objections:
        at.setdefault(id(lines.at(objection)), []).append(objection)
    for hunk in patch.hunks:
        yield from _hunk(hunk, at)


def _hunk(hunk: Hunk, at: dict[int, list[Objection]]) -> Iterator[str]:
    """A hunk up to the last line that is objected to; one without any is left out."""
    last = max((n for n, line in enumerate(hunk.lines) if id(line) in at), default=None)
    if last is None:
        return
    yield f"> {_printable(hunk.head)}"
    for line in hunk.lines[: last + 1]:
        marked = at.get(id(line), [])
        yield f"> {line.kind}{_printable(line.text)}"
        for objection in marked:
            yield ""
            yield from _remark(objection)
        if marked:
            yield ""


def _remark(objection: Objection, *, with_place: bool = False) -> Iterator[str]:
    finding = objection.finding
    where = f"{finding.place}: " if with_place else ""
    sentence = f"{finding.message[:1].upper()}{finding.message[1:]}"
    if objection.settled:
        sentence += f" (settled by {objection.settled})"
    text = _printable(f"{where}{sentence}.")
    yield from textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
    if finding.remedy:
        remedy = _printable(finding.remedy)
        yield from textwrap.wrap(remedy, _WIDTH, break_on_hyphens=False)
    yield f"[{finding.severity}: {finding.rule}]"
