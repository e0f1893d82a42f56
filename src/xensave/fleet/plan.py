"""An upgrade as a list: which guests restore as they are, which after convert, which do not."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from xensave.fleet.query import FleetTable, open_table
from xensave.fleet.sources import as_path
from xensave.source.remote import local_path

_SQL = """
SELECT address, guest, error, v.target, v.accepted, v.record, v.why, v.depends,
    v.convertible, v.losses
FROM fleet LEFT JOIN LATERAL (SELECT UNNEST(verdicts) AS v) ON v.target = ?
ORDER BY address
"""


class UpgradeStep(StrEnum):
    """What is to be done with a guest before an upgrade."""

    RESTORE = "restore"
    DEPENDS = "depends"
    CONVERT = "convert"
    SHUT_DOWN = "shut down"
    LOOK = "look"

    @property
    def text(self) -> str:
        """What the step means."""
        return _TEXTS[self]


_TEXTS = {
    UpgradeStep.RESTORE: "restore as they are",
    UpgradeStep.DEPENDS: "restore if what is named holds",
    UpgradeStep.CONVERT: "restore after convert",
    UpgradeStep.SHUT_DOWN: "must be shut down before the upgrade: no conversion is taken",
    UpgradeStep.LOOK: "could not be read or judged",
}


class Planned(NamedTuple):
    """A guest, what is to be done with it, and why; `losses` are what a conversion costs it."""

    address: str
    guest: str | None
    step: UpgradeStep
    why: str = ""
    losses: tuple[str, ...] = ()


def plan(table: str, target: str) -> list[Planned]:
    """Returns the upgrade of a scanned fleet to a target, an entry an image.

    Raises UsageError where the scan did not ask for that target.
    """
    with open_table(table) as fleet:
        return plan_of(fleet, target)


def plan_of(fleet: FleetTable, target: str) -> list[Planned]:
    """Returns what `plan` does, of a table that is open. Raises UsageError as it does."""
    fleet.check_target(target)
    planneds: dict[str, Planned] = {}
    for row in fleet.ask(_SQL, (target,)).rows:
        planned = _planned(row)
        planneds[planned.address] = planned
    return list(planneds.values())


def by_step(plans: Iterable[Planned]) -> dict[UpgradeStep, list[Planned]]:
    """Returns the images of each step that some need, in the order of the steps."""
    chosen: dict[UpgradeStep, list[Planned]] = {step: [] for step in UpgradeStep}
    for each in plans:
        chosen[each.step].append(each)
    return {step: images for step, images in chosen.items() if images}


def _planned(row: tuple[object, ...]) -> Planned:
    address, guest, error, target, accepted, record, why, depends, convertible, losses = row
    name = guest if isinstance(guest, str) else None
    if error is not None:
        return Planned(str(address), name, UpgradeStep.LOOK, str(error))
    if target is None:
        # A row of an earlier scan, beside the parts of one that did not end.
        return Planned(str(address), name, UpgradeStep.LOOK, "was not judged for this target")
    if accepted is None:
        return Planned(str(address), name, UpgradeStep.DEPENDS, "; ".join(_texts(depends)))
    if accepted:
        return Planned(str(address), name, UpgradeStep.RESTORE)
    reason = f"{record}: {why}" if record else str(why)
    step = UpgradeStep.CONVERT if convertible else UpgradeStep.SHUT_DOWN
    return Planned(str(address), name, step, reason, _texts(losses))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()


def script(plans: list[Planned], target: str, folder: str) -> Iterator[str]:
    """Yields a shell script, line by line, that converts what must be converted into a folder.

    It changes no image and stops no guest: what must be shut down is a comment.
    """
    yield "#!/bin/sh"
    yield f"# Prepares an upgrade to Xen {_comment(target)}. Read it before it is run."
    yield "set -eu"
    yield f"mkdir -p -- {_word(as_path(folder))}"
    taken: dict[str, int] = {}
    for step, chosen in by_step(plans).items():
        yield ""
        yield f"# {len(chosen)} {step.text}"
        for each in chosen:
            if step is UpgradeStep.CONVERT and each.address.endswith("\n"):
                # What a shell puts in a word from a command has no newline at its end.
                yield f"# convert by hand, its name ends with a newline: {_comment(each.address)}"
                continue
            yield from _commands(each, target, folder, taken)


def _commands(each: Planned, target: str, folder: str, taken: dict[str, int]) -> Iterator[str]:
    if each.step is not UpgradeStep.CONVERT:
        why = f": {each.why}" if each.why else ""
        yield f"#   {_comment(each.address)}{_comment(why)}"
        return
    yield f"# {_comment(each.why)}"
    for loss in each.losses:
        yield f"#   loses {_comment(loss)}"
    out = posixpath.join(folder, _free_name(posixpath.basename(local_path(each.address)), taken))
    allow = " --allow-loss" if each.losses else ""
    yield (
        f"xensave convert --target {shlex.quote(target)}{allow} -- "
        f"{_word(as_path(each.address))} {_word(as_path(out))}"
    )


def _free_name(name: str, taken: dict[str, int]) -> str:
    """Returns a name that no other image's result has; `taken` has the last number put before each.

    >>> taken = {}
    >>> [_free_name(name, taken) for name in ("a.img", "a.img", "1-a.img", "a.img")]
    ['a.img', '1-a.img', '1-1-a.img', '2-a.img']
    """
    first = free = name if name not in ("", ".", "..") else "image"
    while free in taken:
        # Guests may all be called alike, each in a folder of its own: none is counted from 1 again.
        taken[first] += 1
        free = f"{taken[first]}-{first}"
    taken[free] = 0
    return free


def _word(text: str) -> str:
    r"""Returns a word of a shell that is this text, and shows a reader each of its characters.

    >>> print(_word("a b.img"), _word("a\nb.img"))
    'a b.img' "$(printf 'a\012b.img')"
    """
    if all(char == " " or char.isprintable() for char in text):
        return shlex.quote(text)
    data = text.encode("utf-8", "surrogateescape")
    plain = frozenset(b"%'\\")
    shown = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in plain else f"\\{byte:03o}" for byte in data
    )
    return f"\"$(printf '{shown}')\""


def _comment(text: str) -> str:
    """Returns text that stays inside a comment of one line."""
    return text.encode("unicode_escape").decode("ascii")
