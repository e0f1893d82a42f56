"""A comparison as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from xensave.diff import Comparison, FieldDifference
from xensave.diff.pages import MemoryChange, ranges
from xensave.memory.column import Integers
from xensave.records.meaning.leaves import Leaf
from xensave.records.twins import hex64
from xensave.views.records.fields import COLUMN, INLINE
from xensave.views.records.record_json import Json
from xensave.views.text.escape import escape
from xensave.views.text.wrap import hang, plural

_RANGES = 12
_ABSENT = "none"
_KINDS = ("changed", "zeroed", "appeared", "vanished", "retyped")
_SENTENCES = {
    "zeroed": "hold only zeros now",
    "appeared": "appeared",
    "vanished": "vanished",
    "retyped": "have another page type",
}


def comparison_lines(
    comparison: Comparison, width: int, *, volatile: bool = False, pages: bool = False
) -> Iterator[str]:
    """Yields what differs, record by record; what always moves in one line, unless asked for."""
    lacking = [f"memory  not compared: {escape(name)} holds none" for name in comparison.lacking]
    if not comparison.differs:
        yield "no difference"
        yield from lacking
        return
    shown = comparison.changes if volatile else tuple(comparison.steady)
    for record, changes in groupby(shown, lambda change: change.record):
        yield escape(record)
        for change in changes:
            yield from _change_lines(change, width)
    moving = list(comparison.volatile)
    if moving and not volatile:
        names = ", ".join(dict.fromkeys(escape(change.name) for change in moving))
        yield from hang("always moving", f"{_count(len(moving), 'field')}: {names}", width, 15)
    if comparison.memory is not None:
        yield from _memory_lines(comparison.memory, width, pages=pages)
    yield from lacking


def comparison_json(comparison: Comparison, *, pages: bool = False) -> dict[str, Json]:
    """Returns a comparison as an object; docs/reference/image/diff.md says what its keys are."""
    memory = comparison.memory
    return {
        "differs": comparison.differs,
        "changes": [_change_json(change) for change in comparison.changes],
        "memory": None if memory is None else _memory_json(memory, pages=pages),
    }


def _change_lines(change: FieldDifference, width: int) -> Iterator[str]:
    old, new = change.old, change.new
    label = f"  {escape(change.path)}" if change.path else "  record"
    if old is None or new is None:
        verb = "new" if old is None else "gone"
        leaf = new or old
        text = f"{verb}: {_text(leaf)}" if leaf else verb
    elif isinstance(old.value, bytes) and isinstance(new.value, bytes):
        text = _octets(old.value, new.value)
    else:
        text = f"{_text(old)} -> {_text(new)}"
    yield from hang(label, f"{text}{_means(change)}", width, COLUMN)


def _text(leaf: Leaf) -> str:
    if isinstance(leaf.value, bytes) and len(leaf.value) > INLINE:
        return f"{len(leaf.value):,} bytes"
    return escape(leaf.text) or "empty"


def _means(change: FieldDifference) -> str:
    if change.volatile:
        return f"  ({change.volatile})"
    if change.bits:
        return "  " + " ".join(change.bits)
    old, new = change.old, change.new
    if not old or not new or not (old.meaning or new.meaning):
        return ""
    if old.meaning == new.meaning:
        return f"  {escape(new.meaning)}"
    return f"  ({escape(old.meaning) or _ABSENT} -> {escape(new.meaning) or _ABSENT})"


def _octets(old: bytes, new: bytes) -> str:
    if len(old) == len(new) <= INLINE:
        return f"{old.hex(' ')} -> {new.hex(' ')}"
    common = min(len(old), len(new))
    differ = [at for at in range(common) if old[at] != new[at]]
    first = f", the first at {differ[0]:#x}" if differ else ""
    text = f"{len(differ):,} of {common:,} bytes differ{first}"
    return text if len(old) == len(new) else f"{len(old):,} -> {len(new):,} bytes; {text}"


def _memory_lines(memory: MemoryChange, width: int, *, pages: bool) -> Iterator[str]:
    if not memory.differs:
        yield f"memory  {_count(memory.old, 'page')} alike"
        return
    text = f"{len(memory.changed):,} of {_count(memory.old, 'page')} changed"
    counts = {kind: len(getattr(memory, kind)) for kind in _SENTENCES}
    more = [f"{count:,} {_SENTENCES[kind]}" for kind, count in counts.items() if count]
    yield from hang("memory", ", ".join([text, *more]), width, 8)
    for kind in _KINDS:
        frames: Integers = getattr(memory, kind)
        if not len(frames):
            continue
        runs = [f"{first:#x}" if first == last else f"{first:#x}-{last:#x}"
                for first, last in ranges(frames)]  # fmt: skip
        shown = runs if pages else runs[:_RANGES]
        left = len(runs) - len(shown)
        tail = f" and {left:,} more ranges (--pages)" if left else ""
        yield from hang(f"  {kind}", " ".join(shown) + tail, width, 12)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {plural(count, noun)}"


def _change_json(change: FieldDifference) -> Json:
    return {
        "record": change.record,
        "path": change.path,
        "old": _leaf_json(change.old),
        "new": _leaf_json(change.new),
        "bits": list(change.bits),
        "volatile": change.volatile or None,
    }


def _leaf_json(leaf: Leaf | None) -> Json:
    if leaf is None:
        return None
    value = leaf.value
    result: dict[str, Json] = {"value": value, "text": leaf.text}
    if isinstance(value, int):
        result["hex"] = hex64(value)
    if leaf.meaning:
        result["meaning"] = leaf.meaning
    return result


def _memory_json(memory: MemoryChange, *, pages: bool) -> Json:
    result: dict[str, Json] = {"old": memory.old, "new": memory.new}
    for kind in _KINDS:
        frames: Integers = getattr(memory, kind)
        result[kind] = len(frames)
        if pages:
            result[f"{kind}_ranges"] = [[first, last] for first, last in ranges(frames)]
    return result
