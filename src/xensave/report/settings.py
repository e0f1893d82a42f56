"""The guest's CPU policy by features, its params, and its configuration."""

from __future__ import annotations

from xensave.image import Image
from xensave.image.subjects import all_subjects
from xensave.records.meaning.bits import bit_names
from xensave.records.meaning.leaves import Leaf, leaves_of
from xensave.records.meaning.rows import ROWS
from xensave.records.values import structs
from xensave.report.page import PageTable, RegisterFeatures

_CPUID, _MSRS, _PARAMS = "X86_CPUID_POLICY", "X86_MSR_POLICY", "HVM_PARAMS"
_REGISTERS = {"a": "eax", "b": "ebx", "c": "ecx", "d": "edx"}


def features(image: Image) -> tuple[RegisterFeatures, ...]:
    """Returns the features of the CPU policy by leaf and register."""
    result = []
    for path, leaf in _leaves(image, _CPUID).items():
        if leaf.register is not None and isinstance(leaf.value, int) and leaf.value:
            place, _, register = path.rpartition(".")
            names = tuple(bit_names(leaf.value, leaf.register))
            result.append(RegisterFeatures(f"leaf {place}, {_REGISTERS[register]}", names))
    return tuple(result)


def policy_tables(image: Image) -> tuple[PageTable, ...]:
    """Returns the leaves of the CPU policy that are not zero, and its MSRs."""
    tables = []
    rows = []
    for subject in all_subjects(image):
        if subject.name == _CPUID:
            for entry in structs(subject.values, "leaves"):
                row = ROWS["struct leaf"](entry)
                if row.value != "all zero":
                    rows.append((row.label, row.value, row.meaning.partition(";")[0]))
    if rows:
        head = ("leaf", "registers", "meaning")
        tables.append(PageTable("CPUID leaves that are not zero", head, tuple(rows), (), (0, 1)))
    msrs = _leaves(image, _MSRS)
    if msrs:
        values = tuple((name, leaf.text) for name, leaf in msrs.items())
        tables.append(PageTable("MSRs of the policy", ("MSR", "value"), values, (), (0, 1)))
    return tuple(tables)


def setting_tables(image: Image, *, full: bool) -> tuple[PageTable, ...]:
    """Returns the HVM params and, with `full`, the configuration."""
    tables = []
    params = _leaves(image, _PARAMS)
    if params:
        rows = tuple((name, leaf.text, leaf.meaning) for name, leaf in params.items())
        tables.append(PageTable("HVM params", ("param", "value", "meaning"), rows, (), (0, 1)))
    if full and image.config_text:
        lines = tuple((line,) for line in image.config_text.splitlines())
        tables.append(PageTable("Configuration", ("as it was saved",), lines, (), (0,)))
    return tuple(tables)


def _leaves(image: Image, name: str) -> dict[str, Leaf]:
    result: dict[str, Leaf] = {}
    for subject in all_subjects(image):
        if subject.name == name:
            result.update(leaves_of(subject.name, subject.layout, subject.values))
    return result
