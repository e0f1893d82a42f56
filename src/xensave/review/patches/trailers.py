"""Trailers: who signed off, reviewed, acked or tested which version of a patch."""

from __future__ import annotations

import re
from typing import NamedTuple

_TRAILER = re.compile(
    r"^[ \t]*+((?:[A-Z][a-z]+-)*(?:[A-Z][a-z]+-by|[a-z]+-by)):[ \t]++"
    r"([^<>\n]*+<[^<>\s@]++@[^<>\s]++>|[^\s@]++@\S++)(.*)$",
    re.MULTILINE,
)


class Trailer(NamedTuple):
    """`kind` ("Reviewed-by"), `who` ("Wei Liu <wl@xen.org>") and the version it was given on.

    `replied` says that it came in a reply rather than in the patch's own message.
    """

    kind: str
    who: str
    version: int
    replied: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.who}"

    @property
    def key(self) -> tuple[str, str]:
        """Kind and address, by which one trailer is known again in another version."""
        address = re.search(r"<([^<>]*+)>", self.who)
        return self.kind.lower(), (address[1] if address else self.who).lower()


def trailers(text: str, version: int, *, in_reply: bool = False) -> tuple[Trailer, ...]:
    r"""Returns the trailers of a message's text.

    Quoted lines ("> ") are another's and do not count.

    >>> trailers("Signed-off-by: A <a@b.c>\n> Acked-by: D <d@e.f>\n", 1)
    (Trailer(kind='Signed-off-by', who='A <a@b.c>', version=1, replied=False),)
    """
    by_key = {}
    for match in _TRAILER.finditer(text):
        trailer = Trailer(match[1], " ".join(match[2].split()), version, in_reply)
        by_key[trailer.key] = trailer
    return tuple(by_key.values())
