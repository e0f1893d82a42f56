"""The rules on number spaces, in one table. Ids are SPACE_SUBJECT_PREDICATE."""

from __future__ import annotations

from xensave.findings import ERROR, NOTE, WARNING
from xensave.rules.spaces import limit, number, reservation
from xensave.rules.spaces.model import SpaceRule

THREAD = (
    'xen-devel, December 2019, "x86/save: reserve HVM save record numbers that have been '
    'consumed..."'
)
QUIRKS = "github.com/xenserver/xen.pg, XS-7.1.x, master/xen-legacy-win-xenmapspace-quirks.patch"

RULES: tuple[SpaceRule, ...] = (
    SpaceRule(
        id="SPACE_NUMBER_TAKEN",
        severity=ERROR,
        purpose="A number has one name.",
        remedy="Take a free number; xensave suggest --space names one.",
        check=number.number_taken,
        whole=True,
        cite=QUIRKS,
    ),
    SpaceRule(
        id="SPACE_NUMBER_REUSED",
        severity=ERROR,
        purpose="A number that once meant one thing never means another.",
        remedy="Take a number that no release has used.",
        check=number.number_reused,
        cite=QUIRKS,
    ),
    SpaceRule(
        id="SPACE_NUMBER_RENAMED",
        severity=NOTE,
        purpose="A number keeps the name that callers know it by.",
        remedy="Keep the old name as an alias, or say in the commit message what it was.",
        check=number.number_renamed,
    ),
    SpaceRule(
        id="SPACE_NUMBER_MOVED",
        severity=ERROR,
        purpose="A name keeps its number: callers are compiled with it.",
        remedy="Keep the number; what is incompatible takes a new name and a new number.",
        check=number.number_moved,
    ),
    SpaceRule(
        id="SPACE_NUMBER_DELETED",
        severity=WARNING,
        purpose="A number that was given out stays stated, if only in a comment.",
        remedy="Leave the definition in a comment that says since when it is obsolete.",
        check=number.number_deleted,
    ),
    SpaceRule(
        id="SPACE_NUMBER_BEYOND_WIRE",
        severity=ERROR,
        purpose="A number fits what carries it.",
        remedy="Take a number that fits.",
        check=number.number_beyond_wire,
        state=True,
    ),
    SpaceRule(
        id="SPACE_NUMBER_UNKNOWN",
        severity=WARNING,
        purpose="A number can be read where it is defined.",
        remedy="Write the number itself.",
        check=number.value_unknown,
        state=True,
    ),
    SpaceRule(
        id="SPACE_NUMBER_TAKEN_FROM_OWNER",
        severity=ERROR,
        purpose="A number that a downstream has deployed is not given to another meaning.",
        remedy="Take a free number; xensave suggest --space names one.",
        check=number.taken_from_owner,
        cite=THREAD,
    ),
    SpaceRule(
        id="SPACE_DOCUMENT_DIFFERS",
        severity=ERROR,
        purpose="The header and the specification give a name the same number.",
        remedy="Correct the one that is wrong.",
        check=number.document_differs,
        state=True,
    ),
    SpaceRule(
        id="SPACE_NUMBER_UNDOCUMENTED",
        severity=NOTE,
        purpose="The specification lists every number of the header.",
        remedy="Add the number to the specification in the same series.",
        check=number.number_undocumented,
        state=True,
    ),
    SpaceRule(
        id="SPACE_NUMBER_BEYOND_LIMIT",
        severity=ERROR,
        purpose="Every number is below the limit of its space.",
        remedy="Raise the limit with the number.",
        check=limit.beyond_limit,
        state=True,
    ),
    SpaceRule(
        id="SPACE_LIMIT_RAISED_FOR_NO_NUMBER",
        severity=ERROR,
        purpose="A limit rises only with a number: it sizes an array.",
        remedy="Leave the limit where it is.",
        check=limit.limit_raised,
        cite=THREAD,
    ),
    SpaceRule(
        id="SPACE_LIMIT_RAISED_FAR",
        severity=WARNING,
        purpose="A number lies next to the others where an array is as long as the largest.",
        remedy="Take the next free number.",
        check=limit.limit_raised_far,
        cite=THREAD,
    ),
    SpaceRule(
        id="SPACE_LIMIT_LOWERED",
        severity=ERROR,
        purpose="A limit never falls: numbers below it may be in use.",
        remedy="Leave the limit where it is.",
        check=limit.limit_lowered,
    ),
    SpaceRule(
        id="SPACE_RESERVATION_EXCEEDS_USE",
        severity=ERROR,
        purpose="A reservation covers the numbers that are in use and no headroom.",
        remedy="Reserve only the numbers in use.",
        check=reservation.exceeds_use,
        state=True,
        cite=THREAD,
    ),
    SpaceRule(
        id="SPACE_RESERVATION_USE_UNSTATED",
        severity=WARNING,
        purpose="It is known which numbers of a reservation are in use.",
        remedy="State the numbers in use in the vendor's registry.",
        check=reservation.use_unstated,
        state=True,
        cite=THREAD,
    ),
    SpaceRule(
        id="SPACE_RESERVATION_OVERLAPS",
        severity=ERROR,
        purpose="A reservation holds no number that has a name or another owner.",
        remedy="Leave out the numbers that have an owner.",
        check=reservation.overlaps,
    ),
    SpaceRule(
        id="SPACE_RESERVATION_REMOVED",
        severity=ERROR,
        purpose="A reservation stays as long as its numbers may be deployed.",
        remedy="Keep the reservation.",
        check=reservation.removed,
    ),
)
