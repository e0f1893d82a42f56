"""The vCPUs' registers, and with `full` what their floating-point and vector registers hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xensave.image import Image
from xensave.image.subjects import all_subjects
from xensave.records.meaning.leaves import Leaf, leaves_of
from xensave.records.subject import Subject
from xensave.records.values import Values
from xensave.report.page import Block, PageTable

_PER_VCPU = ("CPU", "LAPIC", "LAPIC_REGS", "MTRR", "VIRIDIAN_VCPU", "VMCE_VCPU", "TSC_ADJUST",
             "CPU_MSR", "CPU_XSAVE", "X86_PV_VCPU_BASIC", "X86_PV_VCPU_EXTENDED",
             "X86_PV_VCPU_MSRS")  # fmt: skip
_GROUPS = (
    (
        "General registers",
        re.compile(
            r"(user_regs\.)?(r([a-d]x|[sd]i|[sbi]p|\d+|flags)|e([a-d]x|[sd]i|[sbi]p|flags))"
        ),
    ),
    ("Control and debug registers", re.compile(r"(cr|dr|ctrlreg|debugreg|msr_efer)\w*(\[\d\])?")),
    ("Segments", re.compile(r"(user_regs\.)?[cdefgs]s(_\w+)?|(tr|ldtr|idtr|gdtr)_\w+|\w+_base\w*")),
)
_CONTENTS = re.compile(r"x87\+SSE\.(st|xmm)|AVX\.|ZMM|Hi16|opmask|TILE|fpu_ctxt|save_area|BND")
_TRAPS = re.compile(r"trap_ctxt")
_RESERVED = re.compile(r"(^|\.)(pad|reserved|res|rsvd)\d*(\[|$)")
_LONG = 32
ENTRIES_LIMIT = 256
"""Entries of a list, such as MSRs, that a page shows of a vCPU: one of a PV guest has 256 traps."""
VCPUS_LIMIT = 128
"""vCPUs that a page shows: an HVM guest has no more (HVM_MAX_VCPUS)."""


def vcpu_blocks(image: Image, *, full: bool) -> tuple[Block, ...]:
    """Returns a block for each vCPU: its registers in groups, then its other records.

    Of more than VCPUS_LIMIT the first have one, and the last block says how many do not.
    """
    result: dict[int, list[Subject]] = {}
    for subject in all_subjects(image):
        if subject.name in _PER_VCPU:
            result.setdefault(_number(subject), []).append(subject)
    numbers = sorted(result)
    blocks = [
        Block(f"vCPU {number}", tuple(_tables(result[number], full=full)), open=number == 0)
        for number in numbers[:VCPUS_LIMIT]
    ]
    if left := len(numbers) - len(blocks):
        note = f"vCPUs from {numbers[VCPUS_LIMIT]} on are left out."
        blocks.append(Block(f"{left:,} more vCPUs", (PageTable("", (), (), note=note),)))
    return tuple(blocks)


def _number(subject: Subject) -> int:
    if subject.instance is not None:
        return subject.instance
    return int.from_bytes(subject.body[:4], "little")


def _tables(subjects: list[Subject], *, full: bool) -> Iterator[PageTable]:
    # A record of a kind is there once, unless the image is damaged.
    for subject in subjects[: len(_PER_VCPU)]:
        values, more = _bounded(subject.values)
        leaves = {
            path: leaf
            for path, leaf in leaves_of(subject.name, subject.layout, values).items()
            if _shown(path, leaf, full=full)
        }
        if subject.name in ("CPU", "X86_PV_VCPU_BASIC"):
            for title, pattern in _GROUPS:
                inside = {path: leaf for path, leaf in leaves.items() if pattern.fullmatch(path)}
                leaves = {path: leaf for path, leaf in leaves.items() if path not in inside}
                if inside:
                    yield _table(title, inside)
        used = {path: leaf for path, leaf in leaves.items() if leaf.value != 0}
        left = len(leaves) - len(used)
        if leaves:
            notes = [f"{left} that are zero are left out."] if left else []
            notes += [f"{more:,} more entries are left out."] if more else []
            yield _table(subject.name, used)._replace(note=" ".join(notes))
    more = len(subjects) - len(_PER_VCPU)
    if more > 0:
        yield PageTable("", (), (), note=f"{more:,} more records of it are left out.")


def _bounded(values: Values) -> tuple[Values, int]:
    """Returns values with the first ENTRIES_LIMIT of each list, and how many there are more."""
    lists = {name: value for name, value in values.items() if isinstance(value, list)}
    more = sum(max(0, len(value) - ENTRIES_LIMIT) for value in lists.values())
    if not more:
        return values, 0
    cut = {name: value[:ENTRIES_LIMIT] for name, value in lists.items()}
    return Values({**values, **cut}, values.body), more


def _shown(path: str, leaf: Leaf, *, full: bool) -> bool:
    """Whether a field is shown: data of the guest only if all of it is wanted."""
    if _RESERVED.search(path) or (isinstance(leaf.value, bytes) and len(leaf.value) > _LONG):
        return False
    if _CONTENTS.search(path):
        return full
    # A trap table has 256 entries, most of them empty.
    return not _TRAPS.search(path) or leaf.value not in (0, "0x0000:0x0")


def _table(title: str, leaves: dict[str, Leaf]) -> PageTable:
    rows = tuple((path, leaf.text, leaf.meaning) for path, leaf in leaves.items())
    return PageTable(title, ("register", "value", "meaning"), rows, (), (0, 1))
