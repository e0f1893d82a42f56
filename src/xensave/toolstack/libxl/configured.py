"""The configuration that xl makes a domain of, and the form of a rule on it.

Other toolstacks have their own: of their guests no such rule is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xensave.catalogue.errnos import MaybeErrno
from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM, PV, PVH
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage, Test

CONFIG = "xl header"
TYPES = (PV, HVM, PVH)
PAGED = (HVM, PVH)
"""The types of domains whose memory Xen maps for them."""


def configured(restore: Restore) -> bool:
    """Tells whether xl has a configuration to make the domain of."""
    return restore.facts.xl is not None and bool(restore.config.values)


def domain_type(restore: Restore) -> object:
    """Returns the type of the domain that is made: by the configuration, else by the stream."""
    if configured(restore):
        return restore.config.choice("c_info", "type")
    return restore.facts.type


def config_rule(
    *,
    id: str,
    says: str,
    cite: Cite,
    layer: Layer = Layer.LIBXL,
    stage: Stage = Stage.CREATION,
    errno: MaybeErrno = "",
    since: tuple[str, ...] = (),
    until: tuple[str, ...] = (),
    types: tuple[str, ...] = (),
) -> Callable[[Test], RestoreRule]:
    """Makes a function a rule on a configuration, for domains of some types; () for all."""

    def asked(restore: Restore) -> bool:
        return configured(restore) and (not types or domain_type(restore) in types)

    return partial(
        RestoreRule,
        id=id,
        layer=layer,
        stage=stage,
        record=CONFIG,
        says=says,
        cite=cite,
        errno=errno,
        since=since,
        until=until,
        asked=asked,
    )
