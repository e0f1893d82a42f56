"""Every case of the oracles: the engine answers as a real Xen of that release did."""

import io
import json
import tarfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard

from xensave.engine import Domain, Hypervisor

DATA = Path(__file__).parents[1] / "data" / "oracle"


class Oracle(NamedTuple):
    """What one hypervisor said: its answers, the contexts it was asked about, their number.

    4.17 is Debian's 4.17.7, 4.20 Debian's 4.20.4+63-g7abfd2bce2, 4.13 and 4.21 release builds of
    the tags, asked about contexts of their own; all in QEMU's software emulation. Contexts for 4.13
    that turn a reference TSC page on are left out: where the guest has no such page, Xen itself
    went down before 600db442cb
    "x86/viridian: avoid NULL pointer dereference in update_reference_tsc()".
    """

    answers: str
    contexts: str
    release: str
    cases: int


SEVENTEEN = Oracle("xen417", "xen417", "4.17.7", 1876)
ORACLES = (
    Oracle("xen413", "xen413", "4.13.5", 1800),
    Oracle("xen413-of-xen417", "xen417", "4.13.5", 948),
    SEVENTEEN,
    Oracle("xen420", "xen417", "4.20.4", 1876),
    Oracle("xen421", "xen421", "4.21.2", 2802),
)


@cache
def cases(stem):
    raw = DATA.joinpath(f"{stem}.jsonl.zst").open("rb")
    with zstandard.ZstdDecompressor().stream_reader(raw, closefd=True) as lines:
        return [json.loads(line) for line in io.TextIOWrapper(lines)]


@cache
def blobs(stem):
    raw = zstandard.ZstdDecompressor().stream_reader(DATA.joinpath(f"{stem}.tar.zst").open("rb"))
    with tarfile.open(fileobj=raw, mode="r|") as tar:
        return {
            member.name.removesuffix(".bin"): tar.extractfile(member).read()
            for member in tar
            if member.isfile()
        }


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.answers)
def test_every_case_is_answered_as_xen_did(oracle, capsys):
    hypervisors = {
        "pvh1": Hypervisor(oracle.release, Domain("pvh")),
        "hvm1": Hypervisor(oracle.release, Domain("hvm", viridian=True)),
    }
    contexts = blobs(oracle.contexts)
    wrong = []
    listed = cases(oracle.answers)
    for case in listed:
        verdict = hypervisors[case["base"]].load(contexts[case["name"]])
        got = (verdict.accepted, verdict.errno, verdict.loaded, verdict.last)
        said = (case["rc"] == 0, case["errno"], case["loaded"], case["last"])
        if got != said:
            wrong.append((case["name"], said, got, verdict.reason))
        if not verdict.accepted:
            assert verdict.reason
            assert verdict.rule
            assert verdict.cite is not None
    with capsys.disabled():
        agree = len(listed) - len(wrong)
        print(f" {agree} of {len(listed)} answers of Xen {oracle.release} agree ", end="")
    assert not wrong
    assert len(listed) == oracle.cases


def test_the_console_agrees_with_the_reason():
    """Where Xen printed why it refused, the engine's rule is the one it printed of."""
    said = {
        "bad CR0": "CPU_CR0",
        "bad EFER": "CPU_EFER",
        "bad MSR_TSC_AUX": "CPU_TSC_AUX",
        "bad magic": "HEADER_MAGIC",
        "unsupported version": "HEADER_VERSION",
        "unknown entry typecode": "TYPECODE_UNKNOWN",
        "did not end with a null entry": "END_MISSING",
        "MSR length": "MSR_",
        "xsave length": "XSAVE_",
        "inconsistent xsave state": "XSAVE_",
        "unsupported MCA capabilities": "VMCE_CAPS",
        "out of range": "PCI_LINK_ROUTE",
        "mismatch: expected": ("ENTRY_LENGTH", "HEADER_FIRST"),
    }
    hypervisor = Hypervisor(SEVENTEEN.release, Domain("hvm"))
    pvh = Hypervisor(SEVENTEEN.release, Domain("pvh"))
    contexts = blobs(SEVENTEEN.contexts)
    seen = set()
    for case in cases(SEVENTEEN.answers):
        verdict = (pvh if case["base"] == "pvh1" else hypervisor).load(contexts[case["name"]])
        for text, rule in said.items():
            if case["rc"] and any(text in line for line in case["console"]):
                assert verdict.rule.startswith(rule), (case["name"], case["console"], verdict)
                seen.add(text)
    assert seen == set(said)
