"""Every case of the oracle: the engine answers as a real Xen 4.17.7 did."""

import io
import json
import tarfile
from pathlib import Path

import zstandard

from xensave.engine import Domain, Hypervisor

DATA = Path(__file__).parents[1] / "data" / "oracle"
CASES = 1876


def cases():
    lines = zstandard.ZstdDecompressor().stream_reader(DATA.joinpath("xen417.jsonl.zst").open("rb"))
    return [json.loads(line) for line in io.TextIOWrapper(lines)]


def blobs():
    raw = zstandard.ZstdDecompressor().stream_reader(DATA.joinpath("xen417.tar.zst").open("rb"))
    with tarfile.open(fileobj=raw, mode="r|") as tar:
        return {
            member.name.removesuffix(".bin"): tar.extractfile(member).read()
            for member in tar
            if member.isfile()
        }


def test_every_case_is_answered_as_xen_did(capsys):
    hypervisors = {
        "pvh1": Hypervisor("4.17.7", Domain("pvh")),
        "hvm1": Hypervisor("4.17.7", Domain("hvm", viridian=True)),
    }
    contexts = blobs()
    wrong = []
    listed = cases()
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
        print(f" {len(listed) - len(wrong)} of {len(listed)} oracle cases agree ", end="")
    assert not wrong
    assert len(listed) == CASES


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
    hypervisor = Hypervisor("4.17.7", Domain("hvm"))
    pvh = Hypervisor("4.17.7", Domain("pvh"))
    contexts = blobs()
    seen = set()
    for case in cases():
        verdict = (pvh if case["base"] == "pvh1" else hypervisor).load(contexts[case["name"]])
        for text, rule in said.items():
            if case["rc"] and any(text in line for line in case["console"]):
                assert verdict.rule.startswith(rule), (case["name"], case["console"], verdict)
                seen.add(text)
    assert seen == set(said)
