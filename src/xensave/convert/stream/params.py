"""HVM_PARAMS: the target gets those that it lets its toolstack set."""

from __future__ import annotations

from collections.abc import Callable

from xensave import catalogue
from xensave.catalogue.model import Release
from xensave.container.streams.libxc_records import PAIR, HvmParams
from xensave.convert.plan import CONVERT, DROP, Change, Loss
from xensave.errors import LimitExceeded
from xensave.findings import Place
from xensave.records.meaning.params import param_name
from xensave.toolstack.libxc.params import alone, viridian_features
from xensave.toolstack.rule import target_of

BODY_LIMIT = 64 * 1024
VIRIDIAN = 9
VM86_TSS = 15
VM86_TSS_SIZED = 37

OLDER: dict[int, Callable[[int], tuple[int, int]]] = {
    VM86_TSS_SIZED: lambda value: (VM86_TSS, value & 0xFFFFFFFF),
}
"""Params that have an older form: the sized TSS of 4.9 is base and size, the one before the base
of a TSS of 128 bytes (3619af2b2b in 4.9).
"""


def convert_params(
    body: bytes | memoryview, target: Release, where: Place
) -> tuple[bytes, tuple[Change, ...]]:
    """Return the record's new body, and what was changed: () where nothing was.

    hvm_set_param() refuses an index of HVM_NR_PARAMS or more, viridian features that it does not
    know, and what may not be set, or not so, and the restore fails.
    """
    if len(body) > BODY_LIMIT:
        raise LimitExceeded(
            f"{len(body)} bytes of HVM params, the limit is {BODY_LIMIT}",
            offset=where.offset,
            record=where.record,
        )
    if len(body) < PAIR.size:
        return bytes(body), ()
    limit = dict(catalogue.space("hvm-param").limits)[target.name]
    release = target_of(target.name)
    features = viridian_features(release)
    params = HvmParams.parse(body)
    taken: list[tuple[int, int]] = []
    changes: list[Change] = []
    for index, value in params.params:
        if index >= limit:
            if index in OLDER:
                taken.append(OLDER[index](value))
            changes.append(_dropped(where, index, value, limit, target))
        elif index == VIRIDIAN and value & ~features:
            taken.append((index, value & features))
            changes.append(_narrowed(where, value, features, target))
        elif (wrong := alone(param_name(index), value, release)) is not None:
            changes.append(_refused(where, index, value, wrong[1], target))
        else:
            taken.append((index, value))
    return params._replace(params=tuple(taken)).to_bytes(), tuple(changes)


def _dropped(where: Place, index: int, value: int, limit: int, target: Release) -> Change:
    name = param_name(index)
    reason = f"{target.name} has HVM params below {limit} only"
    if index in OLDER:
        older, base = OLDER[index](value)
        what = f"{name} to {param_name(older)} = {base:#x}"
        return Change(where, CONVERT, what, reason)
    loss = (Loss(name, hex(value)),) if value else ()
    return Change(where, DROP, name, reason, loss, len(loss))


def _refused(where: Place, index: int, value: int, wrong: str, target: Release) -> Change:
    name = param_name(index)
    reason = f"Xen {target.name} refuses it: {wrong}"
    loss = (Loss(name, hex(value)),) if value else ()
    return Change(where, DROP, f"{name} = {value:#x}", reason, loss, len(loss))


def _narrowed(where: Place, value: int, features: int, target: Release) -> Change:
    reason = f"Xen {target.name} knows the viridian features {features:#x} only"
    loss = (Loss("VIRIDIAN", hex(value & ~features)),)
    return Change(where, CONVERT, f"VIRIDIAN = {value & features:#x}", reason, loss, 1)
