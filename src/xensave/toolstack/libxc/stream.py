"""What libxl and libxc refuse of a stream: headers, records that they do not know, rules broken."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

from xensave.catalogue.dates import Version
from xensave.catalogue.model import Cite
from xensave.container.events import LIBVIRT, LIBXC, LIBXL, XENOPSD, XL, LayerName
from xensave.container.formats import format_named
from xensave.container.streams import libxc
from xensave.engine.verdict import Refused
from xensave.errors import LimitExceeded, Truncated, Unsupported, XensaveError
from xensave.findings import Finding
from xensave.image.facts.guest import PV
from xensave.rules.stream.formats import emulator
from xensave.rules.stream.formats.release import LIBXC_RECORD, LIBXL_RECORD, known_records
from xensave.rules.stream.model import Reader
from xensave.rules.stream.table import checks_of
from xensave.rules.stream.whole import rule_of
from xensave.toolstack.libxl.configured import domain_type
from xensave.toolstack.rule import Layer, Restore, RestoreObjection, RestoreRule, Stage, Undecided

_UNKNOWN = {LIBXL: LIBXL_RECORD, LIBXC: LIBXC_RECORD}
_LAYERS = {
    XL: Layer.XL,
    LIBVIRT: Layer.LIBVIRT,
    XENOPSD: Layer.XENOPSD,
    LIBXL: Layer.LIBXL,
    LIBXC: Layer.LIBXC,
}
WALKS = {
    Layer.XL: Cite("create_domain"),
    Layer.LIBVIRT: Cite("libxlDomainSaveImageOpen"),
    Layer.XENOPSD: Cite("process_header"),
    Layer.LIBXL: Cite("stream_header_done"),
    Layer.LIBXC: Cite("restore"),
}
"""Where each reader follows its records: it stops there where a stream cannot be followed."""

_FIRST = (Layer.XL, Layer.LIBVIRT)
"""Who reads what stands before a stream, before there is a domain."""

_ENDS = (f"{LIBXL} record header", f"{LIBXL} END")
"""Where libxl does not notice that the input ends: bytes that are missing count as zero, and a
header of zeroes is END."""


@partial(
    RestoreRule,
    id="LIBXC_VERSION",
    layer=Layer.LIBXC,
    stage=Stage.STREAM,
    record="libxc header",
    says="the stream has a version that libxc reads",
    cite=Cite("read_headers"),
    breaks=(
        "LIBXC_VERSION_FITS_RELEASE",
        "STREAM_SUPPORTED",
    ),
)
def version(restore: Restore) -> str | None:
    """Refuses a stream of another version."""
    header = restore.facts.libxc
    reads = restore.target.release.stream_read
    if header is None or header.version in reads:
        return None
    wanted = " and ".join(map(str, reads)) if reads else "legacy streams only"
    return f"the stream has version {header.version}; Xen {restore.target.name} reads {wanted}"


@partial(
    RestoreRule,
    id="LIBXC_DOMAIN_TYPE",
    layer=Layer.LIBXC,
    stage=Stage.STREAM,
    record="libxc domain header",
    says="the stream is of the type of the domain that was made",
    cite=Cite("x86_hvm_setup or x86_pv_setup"),
    place=(LIBXC, libxc.END),
    breaks=(
        "LIBXC_DOMAIN_TYPE_CONFIGURED",
        "LIBXC_DOMAIN_TYPE_KNOWN",
    ),
)
def same_type(restore: Restore) -> str | None:
    """Refuses a PV stream for an HVM or PVH domain, and the reverse."""
    header = restore.facts.domain
    if header is None:
        return None
    kind = domain_type(restore)
    wanted = libxc.PV if kind == PV else libxc.HVM
    if header.type == wanted:
        return None
    return f"the stream is of an {header.type_name} guest, the domain is {kind}"


@partial(
    RestoreRule,
    id="LIBXL_STREAM_EMPTY",
    layer=Layer.LIBXL,
    stage=Stage.COMPLETION,
    record="libxl END",
    says="a libxl stream holds a libxc stream",
    cite=Cite("process_record"),
)
def no_guest(restore: Restore) -> str | None:
    """Leaves a stream without a guest to what becomes of a domain without state."""
    facts = restore.facts
    if facts.libxl is not None and facts.libxc is None and facts.stop is None:
        raise Undecided("what becomes of a domain that gets no state: the stream holds no guest")
    return None


@partial(
    RestoreRule,
    id="LIBXC_GUEST_STATE",
    layer=Layer.XEN,
    stage=Stage.COMPLETION,
    record="libxc HVM_CONTEXT",
    says="a stream of an HVM or PVH guest holds its context",
    cite=Cite("hvm_load"),
    errno="ENODATA",
    breaks=(
        "LIBXC_GUEST_STATE_PRESENT",
        "LIBXC_HVM_CONTEXT_NOT_EMPTY",
    ),
)
def context(restore: Restore) -> str | None:
    """Refuses a guest without registers: libxc hands an empty context to Xen."""
    facts = restore.facts
    if facts.domain is None or facts.domain.type != libxc.HVM or facts.context is not None:
        return None
    return "there is no HVM_CONTEXT: the context that libxc hands over has no HEADER"


RULES: tuple[RestoreRule, ...] = (version, same_type, no_guest, context)


def unknown_records(restore: Restore) -> Iterator[RestoreObjection]:
    """Yields records of other releases; what no release knows breaks a rule of the formats."""
    facts, target = restore.facts, restore.target
    for layer in (LIBXL, LIBXC):
        named = format_named(layer).records
        known = known_records(f"{layer}-record", target.release.name)
        for count in facts.counts:
            if count.layer != layer or count.type in known or count.type not in named:
                continue
            reason = f"Xen {target.name} does not know {layer} records of type {count.type:#x}"
            refusal = Refused(
                _UNKNOWN[layer].id,
                reason,
                _LAYERS[layer],
                record=f"{layer} {count.name}",
                offset=facts.firsts.get((count.layer, count.type)),
                cite=Cite("process_record"),
            )
            yield RestoreObjection(refusal, Stage.STREAM)


_UNSEEN = frozenset(
    {emulator.SIZE.id, "LIBVIRT_XML_BOUNDED", "LIBVIRT_XML_PLAIN", "XENOPSD_VM_BOUNDED"}
)
"""Rules of what was not looked at, which a reader may refuse or take."""


@cache
def _enforced(layer: LayerName, version: Version) -> dict[str, Reader]:
    """Returns the reader that enforces each rule of a format in a release."""
    return {
        enforced.id: reader
        for check in checks_of(layer)
        for enforced in check.rules
        for reader in enforced.readers
        if reader.holds(version)
    }


def broken_rules(restore: Restore) -> Iterator[RestoreObjection]:
    """Yields the rules of the formats that the stream breaks and a reader of the release enforces.

    What only the specification demands is `verify`'s to say.
    """
    for finding in restore.facts.broken or ():
        if finding.rule in _UNSEEN:
            yield _not_looked_at(finding)
        layer = _layer_of(finding.place.record)
        reader = _enforced(layer, restore.target.version).get(finding.rule)
        if reader is not None:
            refusal = Refused(
                finding.rule,
                finding.message,
                _LAYERS[reader.layer],
                record=finding.place.record or reader.layer,
                offset=finding.place.offset,
                cite=reader.cite,
            )
            yield RestoreObjection(refusal, _stage_of(refusal.layer))


def _stage_of(layer: Layer) -> Stage:
    return Stage.HEADER if layer in _FIRST else Stage.STREAM


def _not_looked_at(finding: Finding) -> RestoreObjection:
    refusal = Refused(
        finding.rule,
        f"whether {finding.place.record} is in order: {finding.message}",
        offset=finding.place.offset,
    )
    return RestoreObjection(refusal, Stage.STREAM, certain=False)


def cut_short(restore: Restore) -> Iterator[RestoreObjection]:
    """Yields why the stream cannot be followed, where a reader stops there as well."""
    error, facts = restore.facts.stop, restore.facts
    if error is None:
        return
    record = error.record or ""
    behind_libxc = facts.libxl is not None and facts.has(LIBXC, libxc.END)
    cut = behind_libxc and isinstance(error, Truncated) and record.startswith(f"{LIBXL} ")
    if cut and record in _ENDS:
        return
    if cut:
        reason = f"what becomes of a record that is cut: libxl does not notice ({error.message})"
        doubt = Refused("STREAM_CUT", reason, Layer.LIBXL, offset=error.offset)
        yield RestoreObjection(doubt, Stage.STREAM, certain=False)
        return
    layer = reader_of(error)
    # What lies beyond a limit, or has a form of its own as a vGPU's state has, was not looked at.
    unseen = Unsupported if layer is Layer.XENOPSD else LimitExceeded
    certain = not isinstance(error, (unseen, LimitExceeded))
    yield RestoreObjection(refusal_of(layer, error), _stage_of(layer), certain)


def refusal_of(layer: Layer, error: XensaveError) -> Refused:
    """Returns the refusal of a reader that cannot follow a stream."""
    return Refused(
        rule_of(error).id,
        error.message,
        layer,
        record=error.record or "the stream",
        offset=error.offset,
        cite=WALKS[layer],
    )


def reader_of(error: XensaveError) -> Layer:
    """Returns who stops where a stream cannot be followed: the reader of the record at fault."""
    return _LAYERS.get(_layer_of(error.record), Layer.LIBXC)


def _layer_of(record: str | None) -> LayerName:
    """Returns the layer that a record's label begins with."""
    return LayerName((record or "").partition(" ")[0])
