"""Inputs with as many of one thing as a test asks for."""

import struct
from pathlib import Path
from random import Random

from xensave.container.framing import OPTIONAL, pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import (
    CpuidLeaf,
    HvmParams,
    MsrEntry,
    VcpuBlob,
    pack_cpuid_policy,
    pack_msr_policy,
)
from xensave.testing import legacy, streams
from xensave.testing.pv import BASIC_SIZE, pv_stream

EXAMPLES = Path(__file__).parents[3] / "examples"


def empty_records(count):
    stream = streams.libxc_stream(pack_record(OPTIONAL | 0x77) * count)
    return streams.libxl_stream(stream)


def faulty_records(count):
    return streams.libxc_stream(pack_record(OPTIONAL | 0x77, b"x", b"padding") * count)


def checkpoints(count):
    return streams.checkpointed("4.17", count)


def empty_checkpoints(count):
    """A guest's state, then checkpoints without any."""
    one = pack_record(libxc.CHECKPOINT) + pack_record(libxl.CHECKPOINT_END)
    body = streams.libxc_stream(streams.hvm_tail("4.17") + one * count)
    return streams.libxl_stream(body, streams.emulator())


def saved_msrs(count):
    """A vCPU with so many MSRs that Xen does not have."""
    first = next(hvm.iterate(streams.context("4.17")))
    body = struct.pack("<II", count, 0) + pack_msr_policy(
        [MsrEntry(0x50000000 + number, 0, 5) for number in range(count)]
    )
    entries = [first, hvm.Entry(2, 0, bytes(1024)), hvm.Entry(20, 0, body)]
    context = hvm.pack_entries([*entries, hvm.Entry(hvm.END_TYPECODE, 0, b"")])
    return streams.libxc_stream(pack_record(libxc.HVM_CONTEXT, context))


def pv_msrs(count):
    """The same of a PV guest."""
    many = pack_msr_policy([MsrEntry(0x50000000 + number, 0, 5) for number in range(count)])
    record = pack_record(libxc.X86_PV_VCPU_MSRS, VcpuBlob(0, many).to_bytes())
    end = pack_record(libxc.END)
    return pv_stream(vcpus=0).removesuffix(end) + record + end


def vcpus(count):
    return streams.hvm_image(vcpus=count, pages=1)


def pv_vcpus(count):
    return pv_stream(vcpus=count)


def empty_vcpus(count):
    """CPU records without a byte, and a page, so that there is memory to extract."""
    first = next(hvm.iterate(streams.context("4.17")))
    entries = [first, *(hvm.Entry(2, number, b"") for number in range(count))]
    context = hvm.pack_entries([*entries, hvm.Entry(hvm.END_TYPECODE, 0, b"")])
    return streams.libxc_stream(streams.page_data([0]) + pack_record(libxc.HVM_CONTEXT, context))


def empty_pv_vcpus(count):
    blobs = (VcpuBlob(number, bytes(8)).to_bytes() for number in range(count))
    records = b"".join(pack_record(libxc.X86_PV_VCPU_BASIC, blob) for blob in blobs)
    end = pack_record(libxc.END)
    return pv_stream(vcpus=0).removesuffix(end) + records + end


def xenstore(count):
    keys = [(f"key/{number}", "value") for number in range(count)]
    return streams.libxl_stream(streams.libxc_stream(b""), streams.emulator(keys))


def empty_keys(count, records):
    """Records of so many keys without a byte, whose values have none either."""
    body = libxl.EmulatorHeader(2, 0).to_bytes() + bytes(2 * count)
    keys = pack_record(libxl.EMULATOR_XENSTORE_DATA, body) * records
    return streams.libxl_stream(streams.libxc_stream(b""), keys + streams.emulator())


def emulators(count):
    records = b"".join(
        pack_record(
            libxl.EMULATOR_CONTEXT, libxl.EmulatorHeader(2, number).to_bytes() + b"QEVM\0\0\0\3"
        )
        for number in range(count)
    )
    return streams.libxl_stream(streams.libxc_stream(b""), records)


def pages(count):
    return streams.libxc_stream(b"".join(streams.page_data([number]) for number in range(count)))


def policies(count):
    leaves = pack_cpuid_policy([CpuidLeaf(number, 0, 1, 2, 3, 4) for number in range(count)])
    return (
        streams.stream_head("4.17", libxc.HVM)
        + pack_record(libxc.X86_CPUID_POLICY, leaves)
        + streams.static_data("4.17")
        + pack_record(libxc.END)
    )


def leaves(count):
    """A policy of so many leaves that mean nothing."""
    many = [CpuidLeaf(0x50000000 + number, 0, 1, 2, 3, 4) for number in range(count)]
    policy = pack_record(libxc.X86_CPUID_POLICY, pack_cpuid_policy(many))
    return streams.libxc_stream(b"").replace(streams.static_data("4.17"), policy, 1)


def msrs(count):
    """A policy of so many MSRs."""
    many = [MsrEntry(0x50000000 + number, 0, 1 << 60) for number in range(count)]
    policy = pack_record(libxc.X86_MSR_POLICY, pack_msr_policy(many))
    return streams.libxc_stream(b"").replace(streams.static_data("4.17"), policy, 1)


def params(count):
    """So many HVM params, no two of one index."""
    many = HvmParams(tuple((number, 1) for number in range(count)))
    return streams.libxc_stream(pack_record(libxc.HVM_PARAMS, many.to_bytes()))


def differences(count):
    """A Remus stream: batches of one page each, then as many pages that differ from zeros."""
    plain = b"".join(legacy.pages([number]) for number in range(count))
    later = {count + number: bytes(4096) for number in range(count)}
    unchanged = legacy.compressed(later, later)
    body = plain + legacy.ENABLE_COMPRESSION + unchanged + legacy.LAST + legacy.END
    return legacy.ulongs([4 * count], 8) + body + legacy.hvm_tail(streams.context("4.5"))


def traps(count):
    """A PV guest's vCPUs, each with 256 entries in its trap table, no two alike."""
    random = Random(1)
    bodies = (VcpuBlob(number, random.randbytes(BASIC_SIZE)).to_bytes() for number in range(count))
    records = b"".join(pack_record(libxc.X86_PV_VCPU_BASIC, body) for body in bodies)
    end = pack_record(libxc.END)
    return pv_stream(vcpus=0).removesuffix(end) + records + end
