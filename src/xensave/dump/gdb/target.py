"""What gdb is told of a vCPU: its registers in order, each with its bits and type.

Source: gdb's manual, appendix G.5.7 ("i386 Features"): which registers a feature must have. Control
registers have no feature of gdb's own; they are one of ours, and shown as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xensave.image.memory.vcpu import Vcpu
from xensave.memory.paging import EFER_LMA

_FXSAVE = 512
_ST_AT, _XMM_AT = 32, 160
_FRONT = struct.Struct("<HHBxHQQI")
_EMPTY_TAG, _SPECIAL_TAG, _ZERO_TAG, _VALID_TAG = 3, 2, 1, 0


class Register(NamedTuple):
    """A register as gdb's target description has it."""

    name: str
    bits: int
    type: str = "int"
    group: str = ""


def _general(names: str, bits: int) -> list[Register]:
    pointers = {"rsp": "data_ptr", "rbp": "data_ptr", "rip": "code_ptr"}
    pointers |= {f"e{name[1:]}": type_ for name, type_ in pointers.items()}
    return [Register(name, bits, pointers.get(name, f"int{bits}")) for name in names.split()]


_SEGMENTS = [Register(name, 32, "int32") for name in ("cs", "ss", "ds", "es", "fs", "gs")]
_FPU = [Register(f"st{n}", 80, "i387_ext") for n in range(8)] + [
    Register(name, 32, "int", "float")
    for name in ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
]
_FLAGS = [Register("eflags", 32, "i386_eflags")]
_FLAG_BITS = {
    name: bit
    for bit, name in {
        0: "CF", 1: "", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF",
        14: "NT", 16: "RF", 17: "VM", 18: "AC", 19: "VIF", 20: "VIP", 21: "ID",
    }.items()
}  # fmt: skip


class TargetDescription(NamedTuple):
    """An architecture and its features: registers by feature, in the order of `g` packets."""

    architecture: str
    features: dict[str, list[Register]]

    @property
    def registers(self) -> list[Register]:
        """All registers, by their numbers."""
        return [each for feature in self.features.values() for each in feature]

    def to_xml(self) -> bytes:
        """Returns the description as gdb reads it."""
        lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', "<target>"]
        lines.append(f"<architecture>{self.architecture}</architecture>")
        for name, registers in self.features.items():
            lines.append(f'<feature name="{name}">')
            if any(each.type == "vec128" for each in registers):
                lines.append('<vector id="vec128" type="uint8" count="16"/>')
            if any(each.type == "i386_eflags" for each in registers):
                lines.append('<flags id="i386_eflags" size="4">')
                lines += [
                    f'<field name="{flag}" start="{bit}" end="{bit}"/>'
                    for flag, bit in _FLAG_BITS.items()
                ]
                lines.append("</flags>")
            for each in registers:
                group = f' group="{each.group}"' if each.group else ""
                lines.append(
                    f'<reg name="{each.name}" bitsize="{each.bits}" type="{each.type}"{group}/>'
                )
            lines.append("</feature>")
        return "\n".join([*lines, "</target>"]).encode()


def _sse(count: int) -> list[Register]:
    vectors = [Register(f"xmm{n}", 128, "vec128", "vector") for n in range(count)]
    return [*vectors, Register("mxcsr", 32, "int", "vector")]


def _control(bits: int) -> list[Register]:
    names = ("cr0", "cr2", "cr3", "cr4", "efer")
    return [Register(name, bits, f"int{bits}", "system") for name in names]


_RAX = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip"
_EAX = "eax ecx edx ebx esp ebp esi edi eip"
_CONTROL = "xensave.control"

X86_64 = TargetDescription(
    "i386:x86-64",
    {
        "org.gnu.gdb.i386.core": _general(_RAX, 64) + _FLAGS + _SEGMENTS + _FPU,
        "org.gnu.gdb.i386.sse": _sse(16),
        "org.gnu.gdb.i386.segments": [
            Register("fs_base", 64, "int"),
            Register("gs_base", 64, "int"),
        ],
        _CONTROL: [Register("k_gs_base", 64, "int64", "system"), *_control(64)],
    },
)
I386 = TargetDescription(
    "i386",
    {
        "org.gnu.gdb.i386.core": _general(_EAX, 32) + _FLAGS + _SEGMENTS + _FPU,
        "org.gnu.gdb.i386.sse": _sse(8),
        _CONTROL: _control(32),
    },
)

# Registers that gdb calls otherwise.
_NAMES = {"eflags": "rflags", "k_gs_base": "kernel_gs_base"}


def description_of(vcpus: list[Vcpu]) -> TargetDescription:
    """Returns how vCPUs are described: as 64-bit ones where any is in long mode."""
    long_mode = any(vcpu.registers.efer & EFER_LMA for vcpu in vcpus)
    return X86_64 if long_mode else I386


def register_bytes(vcpu: Vcpu, description: TargetDescription) -> list[bytes]:
    """Returns the contents of each register, little-endian, by number."""
    fpu = dict(_fpu_fields(vcpu.fpu.ljust(_FXSAVE, b"\0")))
    values = vcpu.registers._asdict()
    parts = []
    for each in description.registers:
        size = each.bits // 8
        if each.name in fpu:
            parts.append(fpu[each.name][:size].ljust(size, b"\0"))
            continue
        name = _NAMES.get(each.name, each.name)
        if name not in values:
            name = f"r{name[1:]}"
        parts.append(int(values[name] & (1 << each.bits) - 1).to_bytes(size, "little"))
    return parts


def _fpu_fields(area: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the registers of an FXSAVE area."""
    control, status, tags, opcode, ip, data, mxcsr = _FRONT.unpack_from(area)
    for number in range(8):
        yield f"st{number}", area[_ST_AT + 16 * number :][:10]
    for number in range(16):
        yield f"xmm{number}", area[_XMM_AT + 16 * number :][:16]
    words = {
        "fctrl": control,
        "fstat": status,
        "ftag": _tag_word(area, tags, status >> 11 & 7),
        "fiseg": ip >> 32 & 0xFFFF,
        "fioff": ip & 0xFFFFFFFF,
        "foseg": data >> 32 & 0xFFFF,
        "fooff": data & 0xFFFFFFFF,
        "fop": opcode,
        "mxcsr": mxcsr,
    }
    for name, word in words.items():
        yield name, word.to_bytes(4, "little")


def _tag_word(area: bytes, tags: int, top: int) -> int:
    """Returns the two bits a register that FXSAVE keeps as one: which are empty, zero, special."""
    word = 0
    for physical in range(8):
        tag = _EMPTY_TAG
        if tags >> physical & 1:
            at = _ST_AT + 16 * (physical - top & 7)
            exponent = int.from_bytes(area[at + 8 : at + 10], "little") & 0x7FFF
            mantissa = int.from_bytes(area[at : at + 8], "little")
            if not exponent and not mantissa:
                tag = _ZERO_TAG
            else:
                normal = 0 < exponent < 0x7FFF and mantissa >> 63
                tag = _VALID_TAG if normal else _SPECIAL_TAG
        word |= tag << 2 * physical
    return word
