"""Small streams, valid but for what a test puts into them."""

from xensave.container.frames import xl
from xensave.container.framing import pack_record
from xensave.container.streams import hvm, libxc, libxl
from xensave.container.streams.libxc_records import (
    PAIR,
    HvmParams,
    P2mFrames,
    PageData,
    PvInfo,
    TscInfo,
)

rec = pack_record
SDE = rec(libxc.STATIC_DATA_END)
TSC = rec(libxc.X86_TSC_INFO, TscInfo(0, 1, 2, 3).to_bytes())
PARAMS = rec(libxc.HVM_PARAMS, HvmParams(((1, 2),)).to_bytes())
PV_INFO = rec(libxc.X86_PV_INFO, PvInfo(8, 4).to_bytes())
P2M = rec(libxc.X86_PV_P2M_FRAMES, P2mFrames(0, 0x3FF, (7, 8)).to_bytes())
SHARED = rec(libxc.SHARED_INFO, bytes(4096))
BASIC = rec(libxc.X86_PV_VCPU_BASIC, bytes(8 + 5168))
END = rec(libxc.END)
LIBXC_CONTEXT = rec(libxl.LIBXC_CONTEXT)


def entry(typecode, body=b"", instance=0):
    return hvm.Entry(typecode, instance, body).to_bytes()


def header_body(magic=hvm.HEADER_MAGIC, version=1):
    return PAIR.pack(magic, version) + bytes(16)


def raw_context(header=None, after=b""):
    return (header or entry(1, header_body())) + entry(2, bytes(9)) + entry(0) + after


CONTEXT = rec(libxc.HVM_CONTEXT, raw_context())


def pages(pfns=(1,), data=None, reserved=0):
    front = PageData(tuple(pfns), reserved)
    data = bytes(4096) * front.pages if data is None else data
    return rec(libxc.PAGE_DATA, front.to_bytes() + data)


def libxc_head(version=3, domain=libxc.HVM, **fields):
    image = libxc.ImageHeader(version, fields.get("options", 0), fields.get("reserved", (0, 0)))
    head = libxc.DomainHeader(
        domain,
        fields.get("shift", 12),
        fields.get("domain_reserved", 0),
        4,
        fields.get("minor", 17),
    )
    return image.to_bytes() + head.to_bytes()


def hvm_stream(*extra, before=SDE, version=3, memory=None, tail=PARAMS + CONTEXT, **fields):
    memory = pages() if memory is None else memory
    parts = [libxc_head(version, **fields), before, memory, TSC, *extra, tail, END]
    return b"".join(parts)


def pv_stream(*extra, before=None, memory=None, vcpus=BASIC, shared=SHARED):
    before = PV_INFO + SDE + P2M if before is None else before
    memory = pages() if memory is None else memory
    return b"".join([libxc_head(domain=libxc.PV), before, memory, TSC, shared, *extra, vcpus, END])


def libxl_stream(stream=None, *after, options=0, context=LIBXC_CONTEXT, model=None):
    stream = hvm_stream() if stream is None else stream
    head = libxl.LibxlHeader(options=options).to_bytes()
    model = emulator() if model is None else model
    return b"".join([head, context, stream, *after, model, rec(libxl.END)])


def xl_image(optional=None, stream=None, **fields):
    optional = xl.OptionalData(b'{"c_info": {}}\0').to_bytes() if optional is None else optional
    header = xl.XlHeader(optional_length=len(optional), **fields)
    return header.to_bytes() + optional + (libxl_stream() if stream is None else stream)


def emulator(type_=libxl.EMULATOR_CONTEXT, body=b"QEVM\0\0\0\3", number=2):
    return rec(type_, libxl.EmulatorHeader(number, 0).to_bytes() + body)


def xenstore(data):
    return emulator(libxl.EMULATOR_XENSTORE_DATA, data)
