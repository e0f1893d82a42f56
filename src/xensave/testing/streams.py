"""Valid bytes of every wrapper, from the inside out.

>>> from xensave.testing.streams import context, hvm_image
>>> from xensave.source import open_source
>>> from xensave.container.walk import walk
>>> image = hvm_image("4.17", pages=2)
>>> [event.name for event in walk(open_source(image)) if event.name.startswith("HVM")]
['HVM_CONTEXT', 'HVM_PARAMS']
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from xensave import catalogue
from xensave.catalogue.model import PER_VCPU, Binding
from xensave.container.frames import xl
from xensave.container.framing import pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import (
    CpuidLeaf,
    HvmParams,
    MsrEntry,
    PageData,
    TscInfo,
    pack_cpuid_policy,
    pack_msr_policy,
)
from xensave.toolstack.releases.typical import typical_context

PAGES_PER_RECORD = 1024
PFNS_PER_FRAME = libxc.PAGE_SIZE // 8
_APIC_ID = 0x20


def context(release: str, vcpus: int = 1, fill: int = 0) -> bytes:
    """Returns an HVM context with every record of a release, each body `fill` bytes.

    Its framing is what that release writes: HEADER, the records by typecode with an instance for
    each vCPU, END. Flexible records (CPU_XSAVE, CPU_MSR) are left out: their length is a guest's.
    """
    entries = [hvm.Entry(hvm.HEADER_TYPECODE, 0, _header_body(release))]
    for binding in sorted(catalogue.release(release).bindings, key=lambda each: each.typecode):
        if binding.name in ("HEADER", "END") or catalogue.layout(binding.layout).flexible:
            continue
        entries += _instances(binding, vcpus, fill)
    return hvm.pack_entries([*entries, hvm.Entry(hvm.END_TYPECODE, 0, b"")])


def restorable_context(release: str, vcpus: int = 1) -> bytes:
    """Returns a context as `context` does, with bodies that every load handler takes.

    They are a typical guest's (`xensave.toolstack.releases.typical`); local APICs have the numbers
    of their vCPUs, and records that a typical guest lacks are zero.
    """
    typical = {entry[:2]: bytes(entry.body) for entry in hvm.iterate(typical_context(release))}
    names = {binding.typecode: binding.name for binding in catalogue.release(release).bindings}
    entries = []
    for entry in hvm.iterate(context(release, vcpus)):
        instance = entry.instance if (entry.typecode, 1) in typical else 0
        # The typical guest is of the series' last point release, which may save longer records.
        size = len(entry.body)
        body = typical.get((entry.typecode, instance), b"")[:size].ljust(size, b"\0")
        if names.get(entry.typecode) == "LAPIC_REGS":
            apic_id = (entry.instance * 2 << 24).to_bytes(4, "little")
            body = body[:_APIC_ID] + apic_id + body[_APIC_ID + 4 :]
        entries.append(entry._replace(body=body))
    return hvm.pack_entries(entries)


def _header_body(release: str) -> bytes:
    header = next(b for b in catalogue.release(release).bindings if b.name == "HEADER")
    body = hvm.HEADER_BODY.pack(
        hvm.HEADER_MAGIC, hvm.HEADER_VERSION, (1 << 64) - 1, 0x60FB1, 2300000
    )
    return body[: header.size].ljust(header.size, b"\0")


def _instances(binding: Binding, vcpus: int, fill: int) -> Iterable[hvm.Entry]:
    count = vcpus if binding.kind == PER_VCPU else binding.instances
    return [hvm.Entry(binding.typecode, i, bytes([fill]) * binding.size) for i in range(count)]


def with_vcpus(context: bytes, vcpus: int, release: str = "4.17") -> bytes:
    """Returns a real context with as many vCPUs, each a copy of its first.

    >>> with open("examples/pvh1.ctx", "rb") as file:
    ...     eight = with_vcpus(file.read(), 8)
    >>> [entry.instance for entry in hvm.iterate(eight) if entry.typecode == 2]
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    per_vcpu = {b.typecode for b in catalogue.release(release).bindings if b.kind == PER_VCPU}
    entries: list[hvm.Entry] = []
    for entry in hvm.iterate(context):
        if entry.typecode not in per_vcpu:
            entries.append(entry)
        elif entry.instance == 0:
            entries += [entry._replace(instance=number) for number in range(vcpus)]
    return hvm.pack_entries(entries)


def page_data(pfns: Sequence[int], page: bytes = bytes(libxc.PAGE_SIZE)) -> bytes:
    """Returns a PAGE_DATA record of NOTAB pages with the same contents."""
    body = PageData(tuple(pfns)).to_bytes() + page * len(pfns)
    return pack_record(libxc.PAGE_DATA, body)


def memory(pages: int) -> bytes:
    """Returns PAGE_DATA records for PFNs 0 to `pages` - 1."""
    starts = range(0, pages, PAGES_PER_RECORD)
    return b"".join(
        page_data(range(start, min(start + PAGES_PER_RECORD, pages))) for start in starts
    )


def libxc_stream(records: bytes, release: str = "4.17", domain: int = libxc.HVM) -> bytes:
    """Returns a libxc stream around packed records; the release says which version, 2 or 3."""
    head = stream_head(release, domain) + static_data(release)
    return head + records + pack_record(libxc.END)


def stream_head(release: str, domain: int) -> bytes:
    """Returns the image header and the domain header that a release writes."""
    major, minor = _version(release)
    image = libxc.ImageHeader(version=catalogue.release(release).stream_write or 2)
    return (
        image.to_bytes() + libxc.DomainHeader(domain, xen_major=major, xen_minor=minor).to_bytes()
    )


def static_data(release: str) -> bytes:
    """Returns STATIC_DATA_END where a release writes it, nothing else."""
    three = catalogue.release(release).stream_write == 3
    return pack_record(libxc.STATIC_DATA_END) if three else b""


def policies() -> bytes:
    """Returns X86_CPUID_POLICY and X86_MSR_POLICY records of a leaf and an MSR."""
    leaves = pack_cpuid_policy([CpuidLeaf(0, 0xFFFFFFFF, 0xD, 0x756E6547, 0x6C65746E, 0x49656E69)])
    msrs = pack_msr_policy([MsrEntry(0xCE, 0, 0x80000000)])
    return pack_record(libxc.X86_CPUID_POLICY, leaves) + pack_record(libxc.X86_MSR_POLICY, msrs)


def _version(release: str) -> tuple[int, int]:
    series = catalogue.normalise(release)
    numbered = catalogue.newest_series() if series == catalogue.MASTER else series
    major, minor = map(int, numbered.split("."))
    return major, minor


def libxl_stream(stream: bytes, records: bytes | None = None) -> bytes:
    """Returns a libxl stream around a libxc one, with packed records between it and END.

    By default a device model's state follows the stream of an HVM guest: without one libxl starts
    none.
    """
    if records is None:
        type_ = stream[libxc.IMAGE_SIZE :][:4]
        records = emulator() if type_ == libxc.HVM.to_bytes(4, "little") else b""
    return b"".join(
        (
            libxl.LibxlHeader().to_bytes(),
            pack_record(libxl.LIBXC_CONTEXT),
            stream,
            records,
            pack_record(libxl.END),
        )
    )


def emulator(pairs: Sequence[tuple[str, str]] = (), state: bytes = b"QEVM\0\0\0\3") -> bytes:
    """Returns libxl's records of a device model: its xenstore keys, if any, and its state."""
    front = libxl.EmulatorHeader(2, 0).to_bytes()
    keys = front + libxl.pack_xenstore(list(pairs))
    store = pack_record(libxl.EMULATOR_XENSTORE_DATA, keys) if pairs else b""
    return store + pack_record(libxl.EMULATOR_CONTEXT, front + state)


def configuration(kind: str = "hvm", vcpus: int = 1, memory_kb: int = 1 << 30) -> bytes:
    """Returns the configuration of a guest called "guest", as libxl writes it, with its NUL."""
    build = {"max_vcpus": vcpus, "max_memkb": memory_kb, "target_memkb": memory_kb}
    values = {"c_info": {"type": kind, "name": "guest"}, "b_info": {**build, f"type.{kind}": {}}}
    return json.dumps(values).encode() + b"\n\0"


def xl_image(stream: bytes, config: bytes | None = None) -> bytes:
    """Returns what `xl save` writes: its header with the configuration, and a libxl stream.

    The configuration is that of an HVM guest of one vCPU unless given.
    """
    config = configuration() if config is None else config
    optional = xl.OptionalData(config).to_bytes()
    return xl.XlHeader(optional_length=len(optional)).to_bytes() + optional + stream


def hvm_tail(release: str, vcpus: int = 1) -> bytes:
    """Returns the packed records that follow an HVM guest's memory."""
    return b"".join(
        (
            pack_record(libxc.X86_TSC_INFO, TscInfo(0, 2300000, 0, 0, 0).to_bytes()),
            pack_record(libxc.HVM_CONTEXT, restorable_context(release, vcpus)),
            pack_record(libxc.HVM_PARAMS, HvmParams(((1, 0xFEFFE),)).to_bytes()),
        )
    )


def hvm_image(release: str = "4.17", *, pages: int = 1, vcpus: int = 1) -> bytes:
    """Returns a whole `xl save` image of an HVM guest with empty pages and a device model."""
    stream = libxc_stream(memory(pages) + hvm_tail(release, vcpus), release)
    return xl_image(libxl_stream(stream, emulator()), configuration(vcpus=vcpus))


def checkpointed(release: str, checkpoints: int) -> bytes:
    """Returns a Remus-like image: `checkpoints` rounds of one page and state, then END."""
    checkpoint = memory(1) + hvm_tail(release) + pack_record(libxc.CHECKPOINT)
    rounds = (checkpoint + emulator() + pack_record(libxl.CHECKPOINT_END)) * checkpoints
    return xl_image(libxl_stream(libxc_stream(rounds, release), b""))
