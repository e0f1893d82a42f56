"""Layouts as dissect.cstruct definitions: `cstruct().load(open(FILE).read())`, unaligned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from xensave.views.layouts.parts import Described, declarations


def render(records: Sequence[Described], release: str) -> str:
    """Returns definitions that dissect.cstruct reads; each struct by the record's name."""
    lines = [f"// HVM save records of Xen {release}, little-endian. Made by xensave."]
    for record in records:
        lines += ["", *(f"// {line}" for line in record.about)]
        lines += [f"struct {record.binding.name} {{"]
        # It knows no bit-field without a name.
        lines += declarations(record.members, count(), flexible="[EOF]", unnamed_bits=False)
        lines += ["};"]
    return "\n".join(lines) + "\n"
