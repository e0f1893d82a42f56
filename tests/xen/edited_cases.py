"""Images that were edited in one place, of each kind, and what a real 4.17 said of them before.

They are of the corpus in tests/data/restores: the guests were thinned to a few pages, so that those
that are restored do not go on counting.
"""

from typing import NamedTuple

from tests.toolstack.corpus import asked, rebuilt, thin

NAMES = (
    "pvh-policy-leaf-0-twice",
    "pv-policy-no-lm",
    "pvh-param-altp2m-4",
    "pvh-param-viridian-1",
    "pv-pvvcpu-trap-address-noncanonical",
    "pv-pvvcpu-kernel-ss-0",
    "own-pv1-pvvcpu-gdt0-2",
    "pv-pvlayout-info-twice",
    "pvh-tsc-mode-3",
    "pvh-record-end-missing",
    "pvh-record-static-end-missing",
    "pvh-page-type-broken-keeps-data",
    "pvh-context-cr4-smap",
    "pvh-header-dhdr-page-shift-44",
)
_RELEASE, _FROM = "4.17", "x417:"


class Edited(NamedTuple):
    """One image to restore, and whether Xen did."""

    name: str
    base: str
    edits: tuple[dict[str, object], ...]
    restored: bool

    def make(self) -> bytes:
        """Return the bytes to restore."""
        return rebuilt(thin(self.base), self.edits)


def _chosen() -> tuple[Edited, ...]:
    known = {
        case["name"]: case for case in asked() if case["xen"] == _RELEASE and "host" not in case
    }
    found = [(name, known[_FROM + name]) for name in NAMES]
    return tuple(
        Edited(name, case["base"], tuple(case["edits"]), case["restored"]) for name, case in found
    )


EDITED = _chosen()
