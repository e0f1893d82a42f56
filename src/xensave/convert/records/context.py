"""Convert an HVM context: each record from the layout of its writer to that of the target."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

from xensave import catalogue
from xensave.catalogue.model import ZEROEXTEND, Binding, Layout, Release
from xensave.container.streams.hvm import END_TYPECODE, HEADER_TYPECODE
from xensave.context import Context, ContextRecord
from xensave.convert.plan import CONVERT, DROP, MAP, Action, Plan, PlannedChange, place_of
from xensave.convert.records import downstream, losses
from xensave.convert.records.fixups import IMPLIED, consumed, fix_up
from xensave.convert.records.moves import Moves, moves
from xensave.convert.records.msrs import Machines, fit_msrs
from xensave.convert.rules import KEEP, RecordRule
from xensave.records.codec import decode

MSRS = "CPU_MSR"
XSAVE = "CPU_XSAVE"


class ContextConverter:
    """Converts contexts for one target and notes in `plan` what it does.

    `machines` are asked for where MSRs are met: each point release of the target, under the CPU
    policies that the guest may have there. `kept` are the typecodes that a rule keeps although the
    target has no handler for them.
    """

    def __init__(
        self,
        target: Release,
        plan: Plan,
        rules: Mapping[int, RecordRule],
        machines: Callable[[], Sequence[Machines]],
    ) -> None:
        self.target = target
        self.plan = plan
        self.rules = rules
        self.machines = machines
        self._xsave: dict[int, ContextRecord] = {}
        self.kept_typecodes = frozenset(
            typecode for typecode, rule in rules.items() if rule.action == KEEP
        )

    def convert(self, context: Context) -> Context:
        """Returns the context as the target would have written it, or the same object."""
        self._xsave.clear()
        mapped: list[ContextRecord] = []
        made: list[ContextRecord] = []
        for record in context.records:
            rule = self.rules.get(record.typecode)
            if rule is None:
                new = self._upstream(record)
            elif rule.action == KEEP:
                new = record
            else:
                new = self._ruled(rule, record, context.release)
                if new is not None and new.typecode != record.typecode:
                    mapped.append(new)
            if new is not None:
                made.append(new)
        if mapped:
            made = self._placed(made, mapped, _in_order(context.records))
        if all(map(operator.is_, made, context.records)) and len(made) == len(context.records):
            return context
        return context.with_records(tuple(made))

    def _upstream(self, record: ContextRecord) -> ContextRecord | None:
        if record.typecode == END_TYPECODE:
            return record
        binding = self.target.binding(record.typecode)
        if binding is None:
            lost = losses.of_body(record.body, record.layout)
            reason = f"{self.target.name} has no handler for typecode {record.typecode}"
            self.plan.note(PlannedChange(place_of(record), DROP, record.label, reason, *lost))
            return None
        return self._fitted(record, binding)

    def _ruled(
        self, rule: RecordRule, record: ContextRecord, release: str | None
    ) -> ContextRecord | None:
        """Applies a rule of --map, --drop or a rules file."""
        outcome = downstream.apply(rule, record, self.target, release)
        dropped = outcome.record is None
        what = record.label if dropped else f"{record.label} -> {outcome.name}"
        action: Action = DROP if dropped else MAP
        done = (place_of(record), action, what, rule.reason)
        if outcome.loss[1] or not outcome.agreed[1]:
            self.plan.note(PlannedChange(*done, *outcome.loss, dropped))
        if outcome.agreed[1]:
            self.plan.note(PlannedChange(*done, *outcome.agreed, accepted=True))
        if outcome.record is None or outcome.finished:
            return outcome.record
        return self._upstream(outcome.record)

    def _fitted(self, record: ContextRecord, binding: Binding) -> ContextRecord | None:
        if binding.name == XSAVE:
            self._xsave[record.instance] = record
        if binding.name == MSRS:
            xsave = self._xsave.get(record.instance)
            fitted, changes = fit_msrs(record, self.machines(), self.target.name, xsave)
            self.plan.note(*changes)
            return fitted
        source, target = record.layout, catalogue.layout(binding.layout)
        if source is None or source.id == target.id or target.flexible:
            source = source or target
            if target.flexible or record.length == target.size:
                return record
        if record.length < target.size and self._as_before(binding):
            return record
        matched = moves(source, target)
        body = bytes(matched.apply(record.body.ljust(source.size, b"\0"), target.size))
        old = decode(source, record.body, zeroextend=True)
        body, fixes = fix_up(binding.name, old, target, body, matched.new)
        if body == record.body:
            return record
        lost = self._lost(record, source, matched, binding.name)
        steps = [f"{source.id} of {record.length} bytes to {target.id} of {target.size}"]
        steps += [fix.reason for fix in fixes]
        citation = fixes[0].citation if fixes else _newer(source, target).introduced
        change = PlannedChange(place_of(record), CONVERT, record.label, "; ".join(steps), *lost)
        self.plan.note(change._replace(citation=citation))
        return ContextRecord(
            record.typecode, record.instance, body, offset=record.offset, release=self.target.name
        )

    def _as_before(self, binding: Binding) -> bool:
        """Whether the writer's release loads this short record just as the target does."""
        source = self.plan.source
        if source is None or binding.load != ZEROEXTEND:
            return False
        old = catalogue.release(source).binding(binding.name)
        return old is not None and old.layout == binding.layout

    @staticmethod
    def _lost(record: ContextRecord, source: Layout, matched: Moves, name: str) -> losses.Losses:
        carried = consumed(name, matched.new)
        homeless = tuple(
            field
            for field in matched.homeless
            if field.path not in carried
            and field.of(record.body) != IMPLIED.get((name, field.path))
        )
        return losses.joined(
            losses.of_fields(record.body, homeless),
            losses.of_bytes("tail", record.body[source.size :]),
        )

    def _placed(
        self, made: list[ContextRecord], mapped: list[ContextRecord], in_order: bool
    ) -> list[ContextRecord]:
        """Lets mapped records take the place of those that they stand for."""
        keys = {(record.typecode, record.instance): record for record in mapped}
        placed: list[ContextRecord] = []
        for record in made:
            winner = keys.get((record.typecode, record.instance), record)
            if winner is record:
                placed.append(record)
                continue
            same = winner.body == record.body
            lost = losses.NOTHING if same else losses.of_body(record.body, record.layout)
            reason = "the record mapped to it takes its place"
            self.plan.note(PlannedChange(place_of(record), DROP, record.label, reason, *lost))
        if in_order:
            placed.sort(key=_rank)
        return placed


def _rank(record: ContextRecord) -> int:
    """Ranks records as Xen saves them: HEADER, then by typecode, END last."""
    return record.typecode if record.typecode != END_TYPECODE else 1 << 16


def _in_order(records: tuple[ContextRecord, ...]) -> bool:
    ranks = [_rank(record) for record in records]
    return ranks[0] == HEADER_TYPECODE and ranks == sorted(ranks)


def _newer(older: Layout, other: Layout) -> Layout:
    """Returns the younger of two layouts: the one that a later release introduced."""
    order = catalogue.release_names()

    def age(layout: Layout) -> int:
        return order.index(layout.releases[0]) if layout.releases else -1

    return max(older, other, key=age)
