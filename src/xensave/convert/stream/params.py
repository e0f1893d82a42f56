"""HVM_PARAMS: the target gets those that it lets its toolstack set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xensave import catalogue
from xensave.container.streams.libxc_records import PAIR, HvmParams
from xensave.convert.plan import CONVERT, DROP, Loss, PlannedChange
from xensave.errors import LimitExceeded
from xensave.findings import Place
from xensave.records.meaning.params import param_name
from xensave.toolstack.libxc.param_settings import viridian_features
from xensave.toolstack.libxc.params import settings
from xensave.toolstack.rule import Restore

BODY_LIMIT = 64 * 1024

OLDER: dict[str, Callable[[int], tuple[str, int]]] = {
    "VM86_TSS_SIZED": lambda value: ("VM86_TSS", value & 0xFFFFFFFF),
}
"""Params that have an older form: the sized TSS of 4.9 is base and size, the one before the base
of a TSS of 128 bytes (3619af2b2b in 4.9).
"""

Pair = tuple[int, int]


def convert_params(
    body: bytes | memoryview, restores: Sequence[Restore], where: Place
) -> tuple[bytes, tuple[PlannedChange, ...]]:
    """Returns the record's new body, and what was changed: () where nothing was.

    `restores` are those of this guest on the target's point releases: hvm_set_param() of each is
    asked what it refuses, in the order of the params. Viridian features that it does not know are
    cleared, and what else it refuses is left out: a param that may not be set, or not so, or not
    a second time.

    Raises LimitExceeded above BODY_LIMIT.
    """
    if len(body) > BODY_LIMIT:
        raise LimitExceeded(
            f"{len(body)} bytes of HVM params, the limit is {BODY_LIMIT}",
            offset=where.offset,
            record=where.record,
        )
    if len(body) < PAIR.size:
        return bytes(body), ()
    params = HvmParams.parse(body)
    changes: list[PlannedChange] = []
    staying = params.params
    for restore in restores:
        staying = _fitted(staying, restore, where, changes)
    return params._replace(params=staying).to_bytes(), tuple(changes)


def _fitted(
    pairs: tuple[Pair, ...], restore: Restore, where: Place, changes: list[PlannedChange]
) -> tuple[Pair, ...]:
    """Returns the params that one release takes."""
    older = [_older(pair, restore, where, changes) for pair in pairs]
    facts = restore.facts._replace(params=tuple(older))
    staying: list[Pair] = []
    for param in settings(restore._replace(facts=facts)):
        if param.objection is not None and param.objection.certain:
            wrong = param.objection.refusal.reason
            changes.append(_refused(where, param.number, param.value, wrong, restore))
        else:
            staying.append((param.number, param.value))
    return tuple(staying)


def _older(pair: Pair, restore: Restore, where: Place, changes: list[PlannedChange]) -> Pair:
    """Returns a param in the form that the release has: another one, or with fewer features."""
    index, value = pair
    target = restore.target
    limit = dict(catalogue.space("hvm-param").limits)[target.release.name]
    name = param_name(index)
    if index >= limit and name in OLDER:
        older, base = OLDER[name](value)
        what = f"{name} to {older} = {base:#x}"
        reason = f"{target.name} has HVM params below {limit} only"
        changes.append(PlannedChange(where, CONVERT, what, reason))
        return catalogue.number_in("hvm-param", older), base
    features = viridian_features(target)
    if name == "VIRIDIAN" and value & ~features and value & features:
        reason = f"Xen {target.name} knows the viridian features {features:#x} only"
        loss = (Loss("VIRIDIAN", hex(value & ~features)),)
        what = f"VIRIDIAN = {value & features:#x}"
        changes.append(PlannedChange(where, CONVERT, what, reason, loss, 1))
        return index, value & features
    return pair


def _refused(where: Place, index: int, value: int, wrong: str, restore: Restore) -> PlannedChange:
    name = param_name(index)
    reason = f"Xen {restore.target.name} refuses it: {wrong}"
    loss = (Loss(name, hex(value)),) if value else ()
    return PlannedChange(where, DROP, f"{name} = {value:#x}", reason, loss, len(loss))
