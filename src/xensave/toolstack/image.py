"""A whole image before a target: its wrappers, its stream, its HVM params, then its context.

What the toolstack refuses, it refuses before the hypervisor is asked; the rules stand in the
order in which `xl restore` meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.dates import Version, begun, newest, version
from xensave.catalogue.errnos import EINVAL, EPERM
from xensave.catalogue.model import Cite, Release
from xensave.container import hvm
from xensave.container.events import LIBXC, LIBXL, XL
from xensave.container.libxc import ImageHeader
from xensave.container.xl import FLAG_JSON, FLAG_STREAM_V2, XlHeader
from xensave.engine.domain import HVM, PVH, Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.plugins import Plugin
from xensave.engine.verdict import Verdict
from xensave.errors import Truncated
from xensave.image import Image
from xensave.policy.default import default_policy
from xensave.policy.value import Policy

HOST_POLICY = "the target's host can give the guest the CPU policy that it had"
EMULATOR = "the target's device model takes the saved state of the source's"

_OPTIONAL = 1 << 31
_CPU, _LAPIC_REGS = 2, 6
_OF_EVERY_VCPU = {_CPU, _LAPIC_REGS}
_VIRIDIAN = "VIRIDIAN"
# (since, the bits of the VIRIDIAN param that a release knows)
_VIRIDIAN_KNOWN = (
    (("4.15",), 0x1FFF),
    (("4.13",), 0x3FF),
    (("4.9",), 0x7F),
    (("4.7",), 0x3F),
    (("4.6",), 0xF),
    (("4.5",), 0x7),
    (("3.3",), 0x1),
)
_BASE_FREQ = 1
# Params that may not be set any more, since when, and the errno of that.
_DEPRECATED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("DM_DOMAIN", ("4.14",), EINVAL),
    ("BUFIOREQ_EVTCHN", ("4.14",), EINVAL),
    ("DM_DOMAIN", ("4.12",), EPERM),
    ("BUFIOREQ_EVTCHN", ("4.12",), EPERM),
    ("MEMORY_EVENT_CR0", ("4.14",), EINVAL),
    ("MEMORY_EVENT_CR3", ("4.14",), EINVAL),
    ("MEMORY_EVENT_CR4", ("4.14",), EINVAL),
    ("MEMORY_EVENT_INT3", ("4.14",), EINVAL),
    ("MEMORY_EVENT_SINGLE_STEP", ("4.14",), EINVAL),
    ("MEMORY_EVENT_MSR", ("4.14",), EINVAL),
    ("NESTEDHVM", ("4.15",), EINVAL),
)
_PAE_ENABLED = "PAE_ENABLED"
_PAE_DISCARDED = ("4.14",)


class Target(NamedTuple):
    """A release as a toolstack and a hypervisor."""

    name: str
    release: Release
    version: Version


def target_of(name: str) -> Target:
    """Return the target of a release's name. Raises UsageError for an unknown one."""
    return Target(name, newest(name), version(name))


def judge(
    image: Image,
    target: str,
    *,
    domain: Domain | None = None,
    policy: Policy | None = None,
    plugins: tuple[Plugin, ...] = (),
) -> Verdict:
    """Return what a release makes of an image, from its first header to its HVM context.

    The domain and its policy are what the image says, unless given; without either the policy is
    the default one of the release that saved it. Raises XensaveError where the image itself is
    broken.

    >>> from xensave.image import open_image
    >>> with open_image("examples/hvm1.img.zst") as image:
    ...     verdict = judge(image, "4.13")
    >>> verdict.accepted, verdict.record, verdict.reason
    (False, 'libxc header', 'the stream has version 3; Xen 4.13 reads 2')
    """
    aim = target_of(target)
    for rule in RULES:
        refusal = next(iter(rule(image, aim)), None)
        if refusal is not None:
            return refusal
    if not image.has_context:
        return Verdict(accepted=True, assumes=_assumptions(image))
    hypervisor = Hypervisor(
        target,
        domain if domain is not None else domain_of(image),
        policy if policy is not None else policy_of(image, target),
        plugins=plugins,
    )
    verdict = hypervisor.load(image.context_bytes)
    return verdict._replace(assumes=_assumptions(image))


def domain_of(image: Image) -> Domain:
    """Return the domain that the image describes; a bare context describes its vCPUs only."""
    vcpus = _config(image, "b_info", "max_vcpus")
    return Domain(
        PVH if image.type == PVH else HVM,
        vcpus if isinstance(vcpus, int) and vcpus > 0 else vcpus_in(image.context_bytes),
        viridian=bool(image.params.get(_param(_VIRIDIAN), 0)),
        nested=_config(image, "b_info", "nested_hvm") == "True",
        hap=_config(image, "c_info", "hap") != "False",
    )


def policy_of(image: Image, target: str) -> Policy:
    """Return the policy that the image carries, or the default of the release that saved it.

    A bare context, which names no release, gets the default of the target.
    """
    carried = carried_policy(image, f"the CPU policy in {image.name}")
    return carried or default_policy(image.release or target)


def carried_policy(image: Image, source: str) -> Policy | None:
    """Return the policy that the image carries, called `source`; None where it carries none."""
    leaves = image.cpuid_policy
    return Policy.of(leaves, image.msr_policy, source) if leaves else None


def vcpus_in(context: bytes) -> int:
    """Return how many vCPUs have a CPU and a LAPIC_REGS record, counted from 0; at least 1.

    One damaged record does not make a vCPU: what is not whole is not counted.
    """
    found: dict[int, set[int]] = {}
    try:
        for entry in hvm.iterate(context):
            if entry.typecode in _OF_EVERY_VCPU:
                found.setdefault(entry.instance, set()).add(entry.typecode)
    except Truncated:
        pass
    count = 0
    while found.get(count) == _OF_EVERY_VCPU:
        count += 1
    return max(1, count)


def _config(image: Image, section: str, key: str) -> object:
    part = image.config.get(section)
    return part.get(key) if isinstance(part, dict) else None


def _param(name: str) -> int:
    number = catalogue.space("hvm-param").number_of(name)
    return -1 if number is None else number


def _assumptions(image: Image) -> tuple[str, ...]:
    found = []
    if image.domain is not None:
        found.append(HOST_POLICY)
    if image.emulators:
        found.append(EMULATOR)
    return tuple(found)


def _refusal(rule: str, record: str, reason: str, function: str, errno: str = "") -> Verdict:
    return Verdict(
        accepted=False, errno=errno, record=record, rule=rule, reason=reason, cite=Cite(function)
    )


def _xl_flags(image: Image, target: Target) -> Iterator[Verdict]:
    """Find flags of the xl header that must be understood and are not."""
    header = image.tally.headers.get(f"{XL} header")
    if not isinstance(header, XlHeader):
        return
    known = 0
    known |= FLAG_JSON if begun(("4.5",), target.version) else 0
    known |= FLAG_STREAM_V2 if begun(("4.6",), target.version) else 0
    rest = header.mandatory_flags & ~known
    if rest:
        reason = f"xl of Xen {target.name} does not know mandatory flags {rest:#x}"
        yield _refusal("XL_FLAGS", "xl header", reason, "create_domain")


def _pvh_type(image: Image, target: Target) -> Iterator[Verdict]:
    """Find a PVH guest where libxl has no such type."""
    if _config(image, "c_info", "type") == PVH and not begun(("4.10",), target.version):
        reason = f"libxl of Xen {target.name} knows no domain type pvh"
        yield _refusal("XL_DOMAIN_TYPE", "xl header", reason, "libxl_domain_type_from_string")


def _stream_version(image: Image, target: Target) -> Iterator[Verdict]:
    """Find a stream of a version that the toolstack does not read."""
    header = image.tally.headers.get(f"{LIBXC} image header")
    reads = target.release.stream_read
    if isinstance(header, ImageHeader) and header.version not in reads:
        stated = " and ".join(map(str, reads)) if reads else "legacy streams only"
        reason = f"the stream has version {header.version}; Xen {target.name} reads {stated}"
        yield _refusal("LIBXC_VERSION", "libxc header", reason, "read_headers")


def _stream_records(image: Image, target: Target) -> Iterator[Verdict]:
    """Find mandatory records that the release does not know."""
    for layer, space in ((LIBXL, "libxl-record"), (LIBXC, "libxc-record")):
        known = {found.number for found in catalogue.numbers_of(space, target.release.name)}
        for count in image.counts:
            if count.layer != layer or count.type in known:
                continue
            if layer == LIBXC and count.type & _OPTIONAL:
                continue
            reason = f"Xen {target.name} does not know {layer} records of type {count.type:#x}"
            yield _refusal(
                f"{layer.upper()}_RECORD", f"{layer} {count.name}", reason, "process_record"
            )


def _params(image: Image, target: Target) -> Iterator[Verdict]:
    """Find HVM params that the hypervisor does not let the toolstack set."""
    space = catalogue.space("hvm-param")
    limit = dict(space.limits)[target.release.name]
    discarded = _param(_PAE_ENABLED) if begun(_PAE_DISCARDED, target.version) else -1
    for index, value in image.params.items():
        if index == discarded:
            continue
        name = space.name_of(index) or f"param {index}"
        errno, why = "", ""
        if index >= limit:
            errno, why = EINVAL, f"Xen {target.name} has {limit} params"
        elif name == _VIRIDIAN:
            why = _viridian(value, target)
            errno = EINVAL if why else ""
        for old, since, answer in _DEPRECATED:
            if name == old and not errno and begun(since, target.version):
                errno, why = answer, "it may not be set any more"
        if errno:
            reason = f"{name} = {value:#x}: {why}"
            yield _refusal("HVM_PARAM", "libxc HVM_PARAMS", reason, "hvm_set_param", errno)


def viridian_features(target: Target) -> int:
    """Return the bits of the VIRIDIAN param that a release knows."""
    return next((bits for since, bits in _VIRIDIAN_KNOWN if begun(since, target.version)), 0)


def _viridian(value: int, target: Target) -> str:
    known = viridian_features(target)
    if value & ~known:
        return f"Xen {target.name} knows the features {known:#x}"
    if value and not value & _BASE_FREQ:
        return "the base and frequency MSRs must be among the features"
    return ""


RULES: tuple[Callable[[Image, Target], Iterator[Verdict]], ...] = (
    _xl_flags,
    _pvh_type,
    _stream_version,
    _stream_records,
    _params,
)
