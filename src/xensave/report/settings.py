"""The guest's CPU policy by features, its params, and its configuration."""

from __future__ import annotations

from xensave.container.streams.libxc_records import CpuidLeaf
from xensave.image import Image
from xensave.records.meaning.bits import bit_names
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF
from xensave.records.meaning.cpu.features import feature_tables
from xensave.records.meaning.leaves import ENTRIES
from xensave.records.meaning.rows import ROWS
from xensave.report.page import PageTable, RegisterFeatures, filled, listed

_REGISTERS = {"a": "eax", "b": "ebx", "c": "ecx", "d": "edx"}


def features(image: Image) -> tuple[RegisterFeatures, ...]:
    """Returns the features of the CPU policy by leaf and register."""
    known = {(leaf, subleaf) for leaf, subleaf, _ in feature_tables()}
    # Of a leaf that is listed again the last counts, as for who restores it.
    leaves = {
        key: entry
        for entry in image.cpuid_policy
        if (key := (entry.leaf, 0 if entry.subleaf == NO_SUBLEAF else entry.subleaf)) in known
    }
    result = []
    for entry in leaves.values():
        for path, leaf in ENTRIES["struct leaf"](entry._asdict()):
            if leaf.register is not None and isinstance(leaf.value, int) and leaf.value:
                place, _, register = path.rpartition(".")
                names = tuple(bit_names(leaf.value, leaf.register))
                result.append(RegisterFeatures(f"leaf {place}, {_REGISTERS[register]}", names))
    return tuple(result)


def policy_tables(image: Image) -> tuple[PageTable, ...]:
    """Returns the leaves of the CPU policy that are not zero, and its MSRs."""
    head = ("leaf", "registers", "meaning")
    leaves = (entry for entry in image.cpuid_policy if any(entry[2:]))
    return filled(
        listed(
            PageTable("CPUID leaves that are not zero", head, (), (), (0, 1)), leaves, _leaf_row
        ),
        listed(
            PageTable("MSRs of the policy", ("MSR", "value"), (), (), (0, 1)),
            image.msr_policy.items(),
            lambda entry: _entry_row("struct msr", entry)[:2],
        ),
    )


def setting_tables(image: Image, *, full: bool) -> tuple[PageTable, ...]:
    """Returns the HVM params and, with `full`, the configuration."""
    lines = image.config_text.splitlines() if full else ()
    return filled(
        listed(
            PageTable("HVM params", ("param", "value", "meaning"), (), (), (0, 1)),
            image.params.items(),
            lambda entry: _entry_row("struct param", entry),
        ),
        listed(
            PageTable("Configuration", ("as it was saved",), (), (), (0,)),
            lines,
            lambda line: (line,),
        ),
    )


def _leaf_row(entry: CpuidLeaf) -> tuple[str, ...]:
    row = ROWS["struct leaf"](entry._asdict())
    return row.label, row.value, row.meaning.partition(";")[0]


def _entry_row(struct: str, entry: tuple[int, int]) -> tuple[str, ...]:
    index, value = entry
    ((name, leaf),) = ENTRIES[struct]({"index": index, "value": value})
    return name, leaf.text, leaf.meaning
