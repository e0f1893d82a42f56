"""What is lost, by name: the fields of a record that are not zero and have no place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xensave.catalogue.model import Layout
from xensave.convert.plan import NAMED_LOSSES, Loss
from xensave.convert.records.moves import Homeless
from xensave.records.codec import decode, tail
from xensave.records.values import Value

Losses = tuple[tuple[Loss, ...], int]
"""The first losses by name, and how many there are."""

NOTHING: Losses = ((), 0)
SHOWN_BYTES = 16


def of(every: Iterable[Loss]) -> Losses:
    """Names the first of some losses, and counts them."""
    losses = tuple(every)
    return losses[:NAMED_LOSSES], len(losses)


def of_fields(body: bytes, homeless: tuple[Homeless, ...]) -> Losses:
    """Names the homeless fields of a body that are not zero."""
    return of(Loss(field.path, _shown(field.of(body))) for field in homeless if any(field.of(body)))


def of_body(body: bytes, layout: Layout | None) -> Losses:
    """Names all fields of a body that are not zero: the whole record is lost."""
    if layout is None:
        return of_bytes("body", body)
    leaves = list(_leaves(decode(layout, body, zeroextend=True), ""))
    rest = tail(layout, body)
    if any(rest):
        leaves.append(Loss("tail", _shown(rest)))
    return of(leaves)


def of_bytes(name: str, data: bytes | memoryview) -> Losses:
    """Names a stretch of bytes, if any is not zero."""
    return ((Loss(name, _shown(bytes(data))),), 1) if any(data) else NOTHING


def joined(*parts: Losses) -> Losses:
    """Puts losses of one record together."""
    named = tuple(loss for part, _ in parts for loss in part)
    return named[:NAMED_LOSSES], sum(count for _, count in parts)


def _leaves(value: Value, path: str) -> Iterator[Loss]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif isinstance(value, bytes):
        if any(value):
            yield Loss(path, _shown(value))
    elif value:
        yield Loss(path, hex(value))


def _shown(data: bytes) -> str:
    """Shows a number of up to 8 bytes as one, anything longer by its first bytes that say much."""
    if len(data) <= 8:
        return hex(int.from_bytes(data, "little"))
    start = next(index for index, byte in enumerate(data) if byte)
    part = data[start : start + SHOWN_BYTES].hex(" ")
    return (
        f"{len(data)} bytes ({part}{' ...' if start + SHOWN_BYTES < len(data) else ''} at {start})"
    )
