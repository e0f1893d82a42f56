"""CPU policies as text and as JSON: leaves, MSRs, features by name, and what changes."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.policy.compare import PolicyComparison
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.value import Policy
from xensave.records.meaning.cpu.cpuid import NO_SUBLEAF, leaf_meaning, signature
from xensave.records.meaning.cpu.msr import msr_name
from xensave.records.twins import hex64
from xensave.views.records.record_json import Json
from xensave.views.text.escape import escape
from xensave.views.text.table import table_lines
from xensave.views.text.wrap import hang

_COLUMN = 10
_WITH_SUBLEAVES = (4, 7, 0xB, 0xD)


def policy_lines(policy: Policy, width: int) -> Iterator[str]:
    """Yields what a policy says, then its leaves and MSRs as a table."""
    for label, text in _summary(policy):
        yield from hang(label, escape(text), width, _COLUMN)
    rows = [
        (_leaf_text(leaf, subleaf), *(f"{value:08x}" for value in registers), meaning)
        for leaf, subleaf, registers, meaning in _leaves(policy)
    ]
    yield ""
    yield from table_lines(("leaf", "eax", "ebx", "ecx", "edx", "meaning"), rows, width)
    msrs = [(f"{index:#x}", f"{value:#x}", msr_name(index)) for index, value in policy.msrs.items()]
    if msrs:
        yield ""
        yield from table_lines(("MSR", "value", "name"), msrs, width)


def policy_json(policy: Policy) -> dict[str, Json]:
    """Returns a policy as an object; docs/reference/restore/policy.md says what its keys are."""
    names: list[Json] = [*sorted(policy.features)]
    return {
        "source": policy.source,
        "vendor": policy.vendor,
        "features": names,
        "maxphysaddr": policy.maxphysaddr,
        "xcr0": policy.xcr0_max,
        "hex": {"xcr0": hex64(policy.xcr0_max)},
        "leaves": [
            {"leaf": leaf, "subleaf": subleaf, **dict(zip("abcd", registers, strict=True))}
            for leaf, subleaf, registers, _ in _leaves(policy)
        ],
        "msrs": [
            {"index": index, "value": value, "hex": hex64(value)}
            for index, value in policy.msrs.items()
        ],
    }


def changes_lines(comparison: PolicyComparison, width: int) -> Iterator[str]:
    """Yields what changes between two policies."""
    if not comparison.differs:
        yield "no difference"
        return
    for label, names in (("lost", comparison.lost), ("gained", comparison.gained)):
        if names:
            yield from hang(label, " ".join(names), width, _COLUMN)
    rows = [
        (_place(each.leaf, each.subleaf, each.register), f"{each.old:08x}", f"{each.new:08x}")
        for each in comparison.registers
    ]
    yield from table_lines(("register", "A", "B"), rows, width)


def changes_json(comparison: PolicyComparison) -> dict[str, Json]:
    """Returns what changes as an object."""
    return {
        "differs": comparison.differs,
        "lost": list(comparison.lost),
        "gained": list(comparison.gained),
        "registers": [dict(each._asdict()) for each in comparison.registers],
    }


def refusal_line(refusal: PolicyRefusal, target: str) -> str:
    """Returns in a line why a release does not take a policy."""
    return f"Xen {target} refuses it: {refusal.errno}: {refusal.reason} ({refusal.cite})"


def refusal_json(refusal: PolicyRefusal, target: str) -> dict[str, Json]:
    """Returns a refusal as an object."""
    return {"target": target, **refusal._asdict(), "cite": str(refusal.cite)}


def _summary(policy: Policy) -> Iterator[tuple[str, str]]:
    family, model, stepping = signature(policy.signature)
    yield "CPU", f"{policy.vendor}, family {family}, model {model}, stepping {stepping}"
    yield (
        "leaves",
        f"to {policy.leaf(0)[0]:#x}, 7.{policy.leaf(7)[0]}, {policy.leaf(0x80000000)[0]:#x}",
    )
    yield "addresses", f"{policy.maxphysaddr} physical bits"
    if policy.xcr0_max:
        size = policy.xsave_size(policy.xcr0_max)
        yield "XCR0", f"up to {policy.xcr0_max:#x}, {size} bytes of state"
    yield "features", " ".join(sorted(policy.features))


def _leaves(policy: Policy) -> Iterator[tuple[int, int, tuple[int, int, int, int], str]]:
    for (leaf, subleaf), registers in sorted(policy.leaves.items()):
        if any(registers):
            number = subleaf if leaf in _WITH_SUBLEAVES else NO_SUBLEAF
            yield leaf, number, registers, leaf_meaning(leaf, number, registers)


def _leaf_text(leaf: int, subleaf: int) -> str:
    return f"{leaf:#x}" if subleaf == NO_SUBLEAF else f"{leaf:#x}.{subleaf}"


def _place(leaf: int, subleaf: int, register: str) -> str:
    if not register:
        return f"MSR {leaf:#x}"
    return f"{_leaf_text(leaf, subleaf if leaf in _WITH_SUBLEAVES else NO_SUBLEAF)} {register}"
