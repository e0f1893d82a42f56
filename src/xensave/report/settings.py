"""The guest's CPU policy by features, its params, and its configuration."""

from __future__ import annotations

from xensave.image import Image
from xensave.image.subjects import all_subjects
from xensave.records.meaning.bits import bit_names
from xensave.records.meaning.leaves import Leaf, leaves_of
from xensave.records.meaning.rows import ROWS
from xensave.records.values import structs
from xensave.report.page import PageTable, RegisterFeatures, filled

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
    entries = [
        ROWS["struct leaf"](entry)
        for subject in all_subjects(image)
        if subject.name == _CPUID
        for entry in structs(subject.values, "leaves")
    ]
    leaves = tuple(
        (row.label, row.value, row.meaning.partition(";")[0])
        for row in entries
        if row.value != "all zero"
    )
    msrs = tuple((name, leaf.text) for name, leaf in _leaves(image, _MSRS).items())
    head = ("leaf", "registers", "meaning")
    return filled(
        PageTable("CPUID leaves that are not zero", head, leaves, (), (0, 1)),
        PageTable("MSRs of the policy", ("MSR", "value"), msrs, (), (0, 1)),
    )


def setting_tables(image: Image, *, full: bool) -> tuple[PageTable, ...]:
    """Returns the HVM params and, with `full`, the configuration."""
    params = tuple(
        (name, leaf.text, leaf.meaning) for name, leaf in _leaves(image, _PARAMS).items()
    )
    lines = tuple((line,) for line in image.config_text.splitlines()) if full else ()
    return filled(
        PageTable("HVM params", ("param", "value", "meaning"), params, (), (0, 1)),
        PageTable("Configuration", ("as it was saved",), lines, (), (0,)),
    )


def _leaves(image: Image, name: str) -> dict[str, Leaf]:
    result: dict[str, Leaf] = {}
    for subject in all_subjects(image):
        if subject.name == name:
            result.update(leaves_of(subject.name, subject.layout, subject.values))
    return result
