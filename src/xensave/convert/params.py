"""HVM_PARAMS: the parameters that the target has no number for are left out."""

from __future__ import annotations

from collections.abc import Callable

from xensave import catalogue
from xensave.catalogue.model import Release
from xensave.container.libxc_records import HvmParams
from xensave.convert.plan import DROP, NAMED_LOSSES, Change, Loss
from xensave.findings import Place
from xensave.records.meaning.params import param_name

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
) -> tuple[bytes, Change | None]:
    """Return the record's new body and what was dropped; None where nothing was.

    hvm_set_param() refuses an index of HVM_NR_PARAMS or more with EINVAL, and the restore fails.
    """
    limits = dict(catalogue.space("hvm-param").limits)
    limit = limits.get(target.name)
    if limit is None or len(body) < 8:
        return bytes(body), None
    params = HvmParams.parse(body)
    gone = [entry for entry in params.params if entry[0] >= limit]
    if not gone:
        return bytes(body), None
    kept = tuple(
        (index, value) if index < limit else OLDER[index](value)
        for index, value in params.params
        if index < limit or index in OLDER
    )
    lost = [
        Loss(param_name(index), hex(value)) for index, value in gone if value and index not in OLDER
    ]
    change = Change(
        where,
        DROP,
        ", ".join(param_name(index) for index, _ in gone[:NAMED_LOSSES]),
        f"{target.name} has HVM params below {limit} only",
        tuple(lost[:NAMED_LOSSES]),
        len(lost),
    )
    return params._replace(params=kept).to_bytes(), change
