"""The records of two images, and their fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xensave.container.events import LIBXC, LIBXL
from xensave.container.streams import libxc, libxl
from xensave.diff.change import FieldDifference, changes_of, paired
from xensave.image import Image
from xensave.image.subjects import all_subjects, context_tail
from xensave.records.meaning.cpu.area import AREA_START
from xensave.records.meaning.cpu.xsave import unnamed
from xensave.records.meaning.leaves import Leaf, leaves_of
from xensave.records.subject import Subject

# Memory is compared page by page, an emulator section by section, the context by its records.
_ELSEWHERE = {
    (LIBXC, libxc.PAGE_DATA),
    (LIBXC, libxc.HVM_CONTEXT),
    (LIBXL, libxl.EMULATOR_CONTEXT),
    (LIBXL, libxl.EMULATOR_XENSTORE_DATA),
    (LIBXL, libxl.LIBXC_CONTEXT),
}


def record_changes(old: Image, new: Image) -> Iterator[FieldDifference]:
    """Yields the records that only one image has, and the fields that differ in the others."""
    yield from _bodiless(old, new)
    before, after = _by_label(old), _by_label(new)
    yield from _order([*before], [*after])
    # What lies behind END: of the context, and of the whole input (its first bytes).
    yield from changes_of("behind END", _tail(old), _tail(new))
    for label, a, b in paired(before, after):
        if a is None or b is None:
            yield FieldDifference(label, "", _whole(a), _whole(b))
        elif a.body != b.body:
            yield from _field_changes(label, a, b)


def names_of(image: Image) -> Iterator[str]:
    """Yields what the records of an image are called, without their instances."""
    for subject in all_subjects(image):
        yield subject.name
    for count in image.counts:
        yield count.name


def _order(before: list[str], after: list[str]) -> Iterator[FieldDifference]:
    """Yields where the records that both have first stand in another order."""
    both = {*before} & {*after}
    old, new = ([label for label in labels if label in both] for labels in (before, after))
    for place, (a, b) in enumerate(zip(old, new, strict=True)):
        if a != b:
            follows = f" after {old[place - 1]}" if place else " first"
            yield FieldDifference(
                "records", "order", Leaf(a, f"{a}{follows}"), Leaf(b, f"{b}{follows}")
            )
            return


def _tail(image: Image) -> dict[str, Leaf]:
    of_context, tally = context_tail(image), image.tally
    leaves = {"HVM context": Leaf(of_context, f"{len(of_context)} bytes")} if of_context else {}
    if tally.trailer:
        leaves["input"] = Leaf(tally.trailing, f"{tally.trailer} bytes")
        leaves["length"] = Leaf(tally.trailer, str(tally.trailer))
    return leaves


def _bodiless(old: Image, new: Image) -> Iterator[FieldDifference]:
    """Yields the records without a body (STATIC_DATA_END, VERIFY) that only one image has."""
    before = {(c.layer, c.type): c for c in old.counts if not c.bytes}
    after = {(c.layer, c.type): c for c in new.counts if not c.bytes}
    either = {(c.layer, c.type) for image in (old, new) for c in image.counts if c.bytes}
    for key in dict.fromkeys([*before, *after]):
        if key in _ELSEWHERE or key in either or (key in before and key in after):
            continue
        count = before.get(key) or after[key]
        leaf = Leaf(0, "0 bytes")
        label = f"{count.layer} {count.name}"
        yield FieldDifference(
            label, "", leaf if key in before else None, leaf if key in after else None
        )


def _by_label(image: Image) -> dict[str, Subject]:
    """Returns the records by name and instance; the later ones of one name are numbered."""
    result: dict[str, Subject] = {}
    seen: Counter[str] = Counter()
    for subject in all_subjects(image):
        if (subject.layer, subject.typecode) in _ELSEWHERE:
            continue
        label = subject.label
        if subject.name.startswith("X86_PV_VCPU_"):
            label = f"{subject.name}[{int.from_bytes(subject.body[:4], 'little')}]"
        seen[label] += 1
        result[label if seen[label] == 1 else f"{label} #{seen[label]}"] = subject
    return result


def _whole(subject: Subject | None) -> Leaf | None:
    return None if subject is None else Leaf(subject.body, f"{subject.length} bytes")


def _field_changes(label: str, a: Subject, b: Subject) -> Iterator[FieldDifference]:
    result = list(changes_of(label, _leaves(a), _leaves(b)))
    yield from result or [FieldDifference(label, "padding", _whole(a), _whole(b))]


def _leaves(subject: Subject) -> dict[str, Leaf]:
    leaves = leaves_of(subject.name, subject.layout, subject.values)
    leaves["length"] = Leaf(subject.length, str(subject.length))
    tail = subject.tail
    if subject.name == "CPU_XSAVE" and subject.layout is not None:
        accum = subject.values.get("xcr0_accum")
        runs = unnamed(subject.body[AREA_START:], accum if isinstance(accum, int) else 0)
        tail = b"".join(data for _, data in runs)
    if tail:
        leaves["beyond the layout" if subject.layout else "body"] = Leaf(tail, tail.hex(" "))
    return leaves
