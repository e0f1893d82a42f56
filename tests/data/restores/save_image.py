"""A save image of xl's as make.py takes it apart and writes it again: headers, and records of both layers."""
import struct

LIBXC = ("END PAGE_DATA X86_PV_INFO X86_PV_P2M_FRAMES X86_PV_VCPU_BASIC X86_PV_VCPU_EXTENDED X86_PV_VCPU_XSAVE SHARED_INFO X86_TSC_INFO "
         "HVM_CONTEXT HVM_PARAMS TOOLSTACK X86_PV_VCPU_MSRS VERIFY CHECKPOINT CHECKPOINT_DIRTY_PFN_LIST STATIC_DATA_END X86_CPUID_POLICY "
         "X86_MSR_POLICY").split()
LIBXL = "END LIBXC_CONTEXT EMULATOR_XENSTORE_DATA EMULATOR_CONTEXT CHECKPOINT_END CHECKPOINT_STATE".split()


class Record:
    """type, body, and what the header says where that differs"""

    def __init__(self, type, body, length=None, pad=None):
        self.type, self.body, self.length, self.pad = type, body, length, pad

    def write(self, out):
        out.write(struct.pack("<II", self.type, len(self.body) if self.length is None else self.length))
        out.write(self.body)
        gap = -len(self.body) % 8
        out.write((self.pad or b"")[:gap].ljust(gap, b"\0"))


class Image:
    def __init__(self, data):
        data = memoryview(data)
        self.xl = bytearray(data[:48])
        size = struct.unpack_from("<I", data, 44)[0]
        self.optional = bytes(data[48 : 48 + size])
        at = 48 + size
        self.libxl_header = bytearray(data[at : at + 16])
        at += 16
        self.libxl, self.libxc, self.libxc_at, self.tail, self.cut, self.cut_after = [], [], None, b"", None, None
        inside = False
        while at < len(data):
            type, length = struct.unpack_from("<II", data, at)
            body = data[at + 8 : at + 8 + length]
            (self.libxc if inside else self.libxl).append(Record(type, body))
            at += 8 + length + (-length % 8)
            if inside:
                inside = type != 0
            elif type == 1:
                self.libxc_at = self.libxl[-1]
                self.ihdr, self.dhdr = bytearray(data[at : at + 24]), bytearray(data[at + 24 : at + 40])
                at += 40
                inside = True

    def write(self, out):
        xl = bytearray(self.xl)
        if not getattr(self, "keep_optional_length", False):
            xl[44:48] = struct.pack("<I", len(self.optional))
        out.write(xl)
        out.write(self.optional)
        out.write(self.libxl_header)
        for record in self.libxl:
            record.write(out)
            if record is self.libxc_at:
                out.write(self.ihdr)
                out.write(self.dhdr)
                for inner in self.libxc:
                    inner.write(out)
                    if inner is self.cut_after:
                        return
        out.write(self.tail)

    def layer(self, edit):
        return (self.libxl, LIBXL) if edit.get("layer") == "libxl" else (self.libxc, LIBXC)

    def find(self, edit, key="rec", nth="nth"):
        records, names = self.layer(edit)
        type = edit[key] if isinstance(edit[key], int) else names.index(edit[key])
        return [r for r in records if r.type == type][edit.get(nth, 0)]

    def only(self, name):
        return next(r for r in self.libxc if r.type == LIBXC.index(name))
