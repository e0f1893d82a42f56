"""The types of a configuration that libxl parses by hand, and gives up at what they do not take.

A value that is no list where one is wanted, or no object, counts as absent, as of other types.
Source: libxl__*_parse_json() in tools/libs/light/{libxl_json.c,libxl_cpuid.c}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.model import Cite
from xensave.toolstack.libxl.configured import CONFIG

_GENID_BYTES = 16
_MSR_BITS = 64
_CPUID_WITH_MSRS = Dated(
    "LIBXL_CPUID_MSRS",
    CONFIG,
    "a CPUID policy may have MSRs",
    Cite(
        "libxl_cpuid_policy_list_parse_json",
        "5b80cecb74",
        "libxl: introduce MSR data in libxl_cpuid_policy",
        "4.18",
    ),
    ("4.14.6", "4.15.5", "4.16.5", "4.17.2", "4.18.0"),
)
_EMPTY_AGAIN = Dated(
    "LIBXL_CPUID_EMPTY",
    CONFIG,
    "an empty list is a CPUID policy; in between it was taken for an object without MSRs",
    Cite(
        "libxl_cpuid_policy_list_parse_json",
        "ebce4e3a14",
        "libxl: slightly correct JSON generation of CPU policy",
        "4.18",
    ),
    ("4.17.3", "4.18.0"),
)
DATED = (_CPUID_WITH_MSRS, _EMPTY_AGAIN)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def bitmap(value: object, version: Version) -> str:
    """Returns what is wrong with a bitmap, a list of numbers."""
    wrong = isinstance(value, list) and not all(map(_is_integer, value))
    return "is no list of numbers" if wrong else ""


def strings(value: object, version: Version) -> str:
    """Returns what is wrong with a list of strings."""
    wrong = isinstance(value, list) and not all(isinstance(each, str) for each in value)
    return "is no list of strings" if wrong else ""


def pairs(value: object, version: Version) -> str:
    """Returns what is wrong with keys and their strings, or null."""
    if not isinstance(value, Mapping):
        return ""
    if all(each is None or isinstance(each, str) for each in value.values()):
        return ""
    return "is no object of strings"


def generation(value: object, version: Version) -> str:
    """Returns what is wrong with a generation ID; it is looked at whatever its type is."""
    head = value[:_GENID_BYTES] if isinstance(value, list) else []
    taken = len(head) == _GENID_BYTES and all(map(_is_integer, head))
    return "" if taken else f"is no list of {_GENID_BYTES} numbers"


def cpuid(value: object, version: Version) -> str:
    """Returns what is wrong with a CPUID policy: a list, or an object with one and a list of MSRs.

    Before there were MSRs only a list was looked at.

    >>> cpuid({"cpuid": [], "msr": []}, (4, 18, 0)), cpuid({"cpuid": []}, (4, 18, 0))
    ('', 'has no list of MSRs')
    """
    with_msrs = _CPUID_WITH_MSRS.holds(version)
    if isinstance(value, list):
        if with_msrs and not value and not _EMPTY_AGAIN.holds(version):
            return "is an empty list, which libxl takes for an object without MSRs"
        return _leaves(value)
    if not with_msrs:
        return ""
    return _with_msrs(value) if isinstance(value, Mapping) else "is neither a list nor an object"


def _with_msrs(value: Mapping[str, object]) -> str:
    leaves, msrs = value.get("cpuid"), value.get("msr")
    if not isinstance(leaves, list):
        return "has no list of CPUID leaves"
    if not isinstance(msrs, list):
        return _leaves(leaves) or "has no list of MSRs"
    return _leaves(leaves) or next(filter(None, map(_msr, msrs)), "")


def _leaves(value: list[object]) -> str:
    return "" if all(isinstance(each, Mapping) for each in value) else "holds what is no leaf"


def _msr(value: object) -> str:
    if not isinstance(value, Mapping) or not _is_integer(value.get("index")):
        return "holds an MSR without its index"
    policy = value.get("policy")
    taken = isinstance(policy, str) and len(policy) == _MSR_BITS
    return "" if taken else f"holds an MSR without a policy of {_MSR_BITS} characters"


CHECKS: dict[str, Callable[[object, Version], str]] = {
    "bitmap": bitmap,
    "strings": strings,
    "pairs": pairs,
    "genid": generation,
    "cpuid": cpuid,
}
"""By the kind that data/config.json says of a member."""


def dates_of_checks(version: Version) -> tuple[bool, ...]:
    """Returns what decides the checks of a version: which of the dates are past."""
    return tuple(row.holds(version) for row in DATED)
