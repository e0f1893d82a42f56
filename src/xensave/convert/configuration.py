"""A configuration of libxl's for another release: what its libxl would not take."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from xensave.catalogue.dates import Version
from xensave.catalogue.model import Citation
from xensave.container.frames.config import parse_config
from xensave.container.frames.xl import OptionalData
from xensave.convert.plan import Loss
from xensave.errors import XensaveError
from xensave.toolstack.libxc.hypercalls import PVRDTSCP_GONE
from xensave.toolstack.libxl.resources import (
    ANY_SCHEDULER,
    WEIGHTED,
    default_scheduler,
    takes_any_scheduler,
)

_PLACES = 64
"""At so many places a member is looked for: each is tried by parsing the whole text."""


class ConfigMend(NamedTuple):
    """A member of a configuration that gets another value: where, to what, when, and why."""

    path: tuple[str, ...]
    value: str
    due: Callable[[object, Version], bool]
    what: str
    reason: str
    citation: Citation
    loses: bool = False

    def loss(self, before: object) -> tuple[Loss, ...]:
        """Returns what is lost of the value."""
        return (Loss(".".join(self.path), str(before)),) if self.loses else ()


MENDS = (
    ConfigMend(
        ("b_info", "sched_params", "sched"),
        "unknown",
        lambda value, at: (
            not takes_any_scheduler(at) and value in WEIGHTED and value != default_scheduler(at)
        ),
        "sched_params.sched of the configuration to the host's scheduler",
        "libxl refuses settings of a scheduler that the host does not have; weight and cap stay",
        ANY_SCHEDULER.cite.citation,
    ),
    ConfigMend(
        ("b_info", "tsc_mode"),
        "default",
        lambda value, at: value == "native_paravirt" and PVRDTSCP_GONE.holds(at),
        "tsc_mode of the configuration to default",
        "libxl has no such mode",
        PVRDTSCP_GONE.cite.citation,
        loses=True,
    ),
)


def mended(optional: bytes, at: Version) -> tuple[bytes, tuple[tuple[ConfigMend, object], ...]]:
    """Returns the optional data of xl's header for a release, and the mends with the old values.

    Only the values change, in their place: the rest of the text stays as it was saved.

    >>> config = b'{"b_info": {"sched_params": {"sched": "credit2", "weight": 256}}}'
    >>> changed, done = mended(OptionalData(config).to_bytes(), (4, 11, 4))
    >>> OptionalData.parse(changed).text
    '{"b_info": {"sched_params": {"sched": "unknown", "weight": 256}}}'
    >>> [value for _, value in done], mended(OptionalData(config).to_bytes(), (4, 12, 0))[1]
    (['credit2'], ())
    """
    done = []
    for mend in MENDS:
        before = parse_config(optional).choice(*mend.path)
        if not mend.due(before, at):
            continue
        changed = _with_value(optional, mend)
        if changed is not None:
            optional = changed
            done.append((mend, before))
    return optional, tuple(done)


def _with_value(optional: bytes, mend: ConfigMend) -> bytes | None:
    """Returns the data with a member's value changed; None where the text is not found."""
    try:
        data = OptionalData.parse(optional)
    except XensaveError:
        return None
    member = rb'("%s"\s*:\s*)"[^"\\]*"' % mend.path[-1].encode()
    for place in islice(re.finditer(member, data.config), _PLACES):
        text = place[1] + b'"%s"' % mend.value.encode()
        config = data.config[: place.start()] + text + data.config[place.end() :]
        changed = data._replace(config=config).to_bytes()
        if parse_config(changed).choice(*mend.path) == mend.value:
            return changed
    return None
