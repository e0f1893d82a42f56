"""Files that say what a host can give: `xen-cpuid -p`, an image saved there, xapi's words.

The text of `xen-cpuid -p` has a block for each of the system's policies; all-zero leaves are left
out of it. A guest's own policy (`-p DOMID`, or an image) says the least that its host can give.
xapi's featureset is hexadecimal words joined by "-", in Xen's order; plain `xen-cpuid` joins
them by ":".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from xensave.catalogue.features import WORDS
from xensave.errors import LimitExceeded, Malformed, XensaveError
from xensave.image import open_image
from xensave.image.opening import open_input
from xensave.policy.featureset import with_words
from xensave.policy.host import Host, Kind
from xensave.policy.steps.copy import merged
from xensave.policy.value import EMPTY, CpuidEntry, Policy
from xensave.source import Source

TEXT_LIMIT = 1 << 20

_BLOCK = re.compile(r"(\S.*) policy: \d+ leaves, \d+ MSRs")
_LEAF = re.compile(r"  ([0-9a-f]{8}):([0-9a-f]{8}) -> " + ":".join(4 * ["([0-9a-f]{8})"]))
_MSR = re.compile(r"  ([0-9a-f]{8}) -> ([0-9a-f]{16})")
_ENTRY = re.compile(r"  (?!leaf\b|index\b)\S.* -> ")
_WORDS = re.compile(
    r"\s*+(?:(\w++(?: ++(?![0-9a-f]{8}[-:])\w++)*+)(?:\s*+:\s++|\s++))?+"
    r"((?:[0-9a-f]{8}[-:])+[0-9a-f]{8})\s*+",
    re.I,
)

_NAMES = {
    "Host": ("physical",),
    "PV Max": ("pv_max",),
    "HVM Max": ("hvm_max",),
    "PV Default": ("pv_default",),
    "HVM Default": ("hvm_default",),
}
_FEATURES = {
    None: ("hvm_max", "pv_max"),
    "features": ("hvm_max", "pv_max"),
    "features_hvm": ("hvm_max",),
    "features_pv": ("pv_max",),
    "PV Max": ("pv_max",),
    "HVM Max": ("hvm_max",),
    "HVM Hap Max": (),
}


def read_host(path: str) -> Host:
    """Returns what a file says of a host. Raises Malformed, LimitExceeded and SourceError.

    >>> host = read_host("examples/hosts/amd.txt")
    >>> host.kind, host.hvm_max.has("pku"), host.pv_max.has("pku")
    ('xen-cpuid', True, False)
    """
    # Opened once: the first bytes of a pipe come no second time.
    with open_input(path) as source:
        text = _text(source)
        if text is None:
            return _of_image(path, source)
    name = os.path.basename(path)  # noqa: PTH119 - pathlib is slow
    try:
        return host_of_text(text, name)
    except XensaveError as error:
        raise error.about(path) from None


def host_of_text(text: str, name: str) -> Host:
    """Returns what a text says of a host. Raises Malformed where it says nothing of one."""
    blocks = dict(_blocks(text.splitlines()))
    known = {field: policy for block, policy in blocks.items() for field in _NAMES.get(block, ())}
    if known:
        return _host(name, known, "xen-cpuid")
    if blocks:
        return _of_guest(name, next(iter(blocks.values())))
    features = dict(_feature_lines(text.splitlines()))
    if not features:
        raise Malformed("no policy of a host: neither xen-cpuid's text, nor words, nor an image")
    return _host(name, features, "featureset")


def _host(name: str, policies: dict[str, Policy], kind: Kind) -> Host:
    return Host(
        name,
        hvm_max=policies.get("hvm_max"),
        pv_max=policies.get("pv_max"),
        hvm_default=policies.get("hvm_default"),
        pv_default=policies.get("pv_default"),
        physical=policies.get("physical"),
        kind=kind,
    )


def _text(source: Source) -> str | None:
    """Returns a file's text; None where it is not text."""
    head = bytes(source.peek(256))
    if not head or not all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return None
    if source.size is not None and source.size > TEXT_LIMIT:
        raise LimitExceeded(f"over {TEXT_LIMIT} bytes of text")
    parts = bytearray()
    while source.peek(1):
        parts += source.read(len(source.peek(1 << 12)))
        if len(parts) > TEXT_LIMIT:
            raise LimitExceeded(f"over {TEXT_LIMIT} bytes of text")
    return parts.decode("latin-1")


def _blocks(lines: list[str]) -> Iterator[tuple[str, Policy]]:
    name = None
    leaves: list[CpuidEntry] = []
    msrs: list[tuple[int, int, int]] = []
    for line in [*lines, "end policy: 0 leaves, 0 MSRs"]:
        if head := _BLOCK.match(line):
            if name is not None:
                yield name, merged(EMPTY, leaves, msrs, f"{name} policy")
            name, leaves, msrs = head[1], [], []
        elif match := _LEAF.match(line):
            leaf, subleaf, a, b, c, d = (int(word, 16) for word in match.groups())
            leaves.append((leaf, subleaf, a, b, c, d))
        elif match := _MSR.match(line):
            msrs.append((int(match[1], 16), 0, int(match[2], 16)))
        elif name is not None and _ENTRY.match(line):
            shown = f"{name[:80]} policy has a line that is no leaf and no MSR: {line[:80]!r}"
            raise Malformed(f"the {shown}")


def _feature_lines(lines: list[str]) -> Iterator[tuple[str, Policy]]:
    for line in lines:
        match = _WORDS.fullmatch(line)
        if match:
            for field in _FEATURES.get(match[1], ()):
                words = (int(word, 16) for word in re.split("[-:]", match[2]))
                yield field, with_words(EMPTY, zip(WORDS, words, strict=False))


def _of_image(path: str, source: Source) -> Host:
    with open_image(path, source=source) as image:
        facts = image.facts
        if not facts.leaves:
            raise Malformed("carries no CPU policy")
        entries = (facts.leaves, facts.msrs or ())
    policy = merged(EMPTY, *entries, f"the CPU policy in {path}")
    return _of_guest(path, policy)._replace(entries=entries)


def _of_guest(name: str, policy: Policy) -> Host:
    """Returns what one guest's policy says of its host: of a PV guest, nothing of HVM guests.

    A PV guest, which dom0 often is, never has large pages; without leaf 1 there is no telling.
    """
    pv = (1, 0) in policy.leaves and not policy.has("pse")
    return Host(name, hvm_max=None if pv else policy, pv_max=policy, kind="guest")
