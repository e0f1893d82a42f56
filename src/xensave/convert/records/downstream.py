"""Apply a rule to one record of a downstream."""

from __future__ import annotations

from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.model import Layout, Release
from xensave.context import ContextRecord
from xensave.convert.plan import DROP
from xensave.convert.records import losses
from xensave.convert.records.losses import NOTHING, Losses
from xensave.convert.records.moves import Homeless, key_of, moves
from xensave.convert.rules import Hook, RecordRule
from xensave.errors import Malformed, UsageError, XensaveError
from xensave.records.codec import decode, encode


class Outcome(NamedTuple):
    """What became of a record: None if dropped; `finished` if it has the target's layout.

    `agreed` is what was lost because the rule says that it may be.
    """

    record: ContextRecord | None
    loss: Losses
    name: str = ""
    finished: bool = False
    agreed: Losses = NOTHING


def apply(rule: RecordRule, record: ContextRecord, target: Release, source: str | None) -> Outcome:
    """Drops or maps a record; `source` is the release whose layouts the image has.

    Raises UsageError where the target lacks the record that the rule maps to or a hook fails, and
    Malformed where the body is not of the size that the rule's layout has.
    """
    if rule.action == DROP:
        return Outcome(None, losses.of_body(record.body, record.layout))
    typecode, name = _destination(rule, target)
    if rule.hook is not None:
        return _hooked(rule, rule.hook, record, typecode, target)
    if rule.layout is None:
        new = ContextRecord(
            typecode, record.instance, record.body, offset=record.offset, release=source
        )
        return Outcome(new, NOTHING, name)
    return _mapped(rule, rule.layout, record, typecode, target)


def _destination(rule: RecordRule, target: Release) -> tuple[int, str]:
    if rule.to is None:
        raise UsageError(f"{rule.reason}: maps to nothing")
    binding = target.binding(rule.to)
    if binding is None:
        raise UsageError(f"{rule.reason}: {target.name} has no record {rule.to}")
    return binding.typecode, binding.name


def _hooked(
    rule: RecordRule, hook: Hook, record: ContextRecord, typecode: int, target: Release
) -> Outcome:
    try:
        body = hook(record)
    except XensaveError:
        raise
    except Exception as error:  # a downstream's code may raise anything
        raise UsageError(
            f"{rule.reason}: the hook failed: {type(error).__name__}: {error}",
            offset=record.offset,
            record=record.label,
        ) from error
    if body is None:
        return Outcome(None, losses.of_body(record.body, record.layout))
    if not isinstance(body, bytes):
        raise UsageError(f"{rule.reason}: the hook returned no bytes but {type(body).__name__}")
    new = ContextRecord(typecode, record.instance, body, offset=record.offset, release=target.name)
    return Outcome(new, NOTHING, new.label, finished=True)


def _mapped(
    rule: RecordRule, layout: Layout, record: ContextRecord, typecode: int, target: Release
) -> Outcome:
    if record.length != layout.size and not (layout.flexible and record.length >= layout.size):
        raise Malformed(
            f"{rule.reason}: its layout has {layout.size} bytes, here are {record.length}",
            offset=record.offset,
            record=record.label,
        )
    binding = target.binding(typecode)
    goal = catalogue.layout(binding.layout) if binding is not None else layout
    names = {old: new for new, old in rule.fields.items()}
    _know(rule, names, layout, goal)
    renamed = tuple(
        field._replace(name=names.get(field.name, field.name))
        for field in layout.fields
        if field.name not in rule.ignore
    )
    matched = moves(layout._replace(fields=renamed), goal, by_place=False)
    body = bytes(matched.apply(record.body, goal.size))
    if rule.constants:
        values = decode(goal, body)
        values.update(rule.constants)
        body = encode(goal, values)
    new = ContextRecord(typecode, record.instance, body, offset=record.offset, release=target.name)
    ignored = tuple(
        Homeless(field.name, field.offset, field.size)
        for field in layout.fields
        if field.name in rule.ignore
    )
    return Outcome(
        new,
        losses.of_fields(record.body, matched.homeless),
        new.label,
        finished=True,
        agreed=losses.of_fields(record.body, ignored),
    )


def _know(rule: RecordRule, renames: dict[str, str], layout: Layout, goal: Layout) -> None:
    names = {field.name for field in layout.fields}
    for name in [*renames, *rule.ignore]:
        if name not in names:
            raise UsageError(f"{rule.reason}: its layout has no field {name}")
        if name in renames and name in rule.ignore:
            raise UsageError(f"{rule.reason}: {name} is in `fields` and in `ignore`")
    known = {key_of(field) for field in goal.fields}
    for name in renames.values():
        if name not in known:
            raise UsageError(f"{rule.reason}: {goal.record} has no field {name}")
