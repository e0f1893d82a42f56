"""x86-64 machine code as typed instructions: what capstone decodes, without its types."""

from __future__ import annotations

from typing import Any, NamedTuple

_WORD = (1 << 64) - 1


class Reg(NamedTuple):
    """A general register or a part of one: `name` is the 64-bit one, `bits` from bit `shift`.

    Any other register (segment, vector, flags) has `bits` 0.
    """

    name: str
    bits: int
    shift: int = 0


class Imm(NamedTuple):
    """An immediate, sign-extended; of a jump or call, the target's address."""

    value: int


class Mem(NamedTuple):
    """A memory operand: base + scaled * scale + disp, `size` bytes.

    A rip-relative one has its address in `disp` and no base. `segment` is set where it is not a
    plain address.
    """

    base: Reg | None
    scaled: Reg | None
    scale: int
    disp: int
    size: int
    segment: bool = False


Operand = Reg | Imm | Mem


class Instruction(NamedTuple):
    """One instruction: `writes` are the general registers that it changes, by 64-bit name."""

    address: int
    size: int
    mnemonic: str
    operands: tuple[Operand, ...]
    writes: tuple[str, ...]
    jump: bool

    @property
    def next(self) -> int:
        """The address after it."""
        return self.address + self.size


def _general() -> dict[str, Reg]:
    table: dict[str, Reg] = {}
    for letter in "abcd":
        whole = f"r{letter}x"
        table |= {
            whole: Reg(whole, 64),
            f"e{letter}x": Reg(whole, 32),
            f"{letter}x": Reg(whole, 16),
        }
        table |= {f"{letter}l": Reg(whole, 8), f"{letter}h": Reg(whole, 8, 8)}
    for stem in ("si", "di", "bp", "sp"):
        whole = f"r{stem}"
        table |= {whole: Reg(whole, 64), f"e{stem}": Reg(whole, 32), stem: Reg(whole, 16)}
        table |= {f"{stem}l": Reg(whole, 8)}
    for number in range(8, 16):
        whole = f"r{number}"
        table |= {whole: Reg(whole, 64), f"{whole}d": Reg(whole, 32)}
        table |= {f"{whole}w": Reg(whole, 16), f"{whole}b": Reg(whole, 8)}
    return table


GENERAL = _general()


class Decoder:
    """Decodes instructions one at a time.

    >>> Decoder().at(bytes.fromhex("bf12000000"), 0x1000)  # mov edi, 0x12
    Instruction(address=4096, size=5, mnemonic='mov', operands=(Reg(name='rdi', bits=32, shift=0), \
Imm(value=18)), writes=('rdi',), jump=False)
    """

    def __init__(self) -> None:
        import capstone

        self._x86 = capstone.x86
        self._jump, self._call = capstone.CS_GRP_JUMP, capstone.CS_GRP_CALL
        self._engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._engine.detail = True

    def at(self, code: bytes, address: int) -> Instruction | None:
        """Returns the instruction that the first bytes of `code` encode.

        None where they encode none.
        """
        raw = next(self._engine.disasm(code, address, 1), None)
        if raw is None:
            return None
        _, written = raw.regs_access()
        names = {GENERAL[name].name for name in map(raw.reg_name, written) if name in GENERAL}
        operands = tuple(self._operand(raw, operand) for operand in raw.operands)
        return Instruction(
            address,
            raw.size,
            raw.mnemonic.split()[-1],
            operands,
            tuple(sorted(names)),
            raw.group(self._jump),
        )

    def _operand(self, raw: Any, operand: Any) -> Operand:  # noqa: ANN401 - capstone has no types
        if operand.type == self._x86.X86_OP_REG:
            return _register(raw.reg_name(operand.reg))
        if operand.type == self._x86.X86_OP_IMM:
            branch = raw.group(self._jump) or raw.group(self._call)
            return Imm(operand.imm & _WORD if branch else operand.imm)
        part = operand.mem
        base = raw.reg_name(part.base) if part.base else None
        index = _register(raw.reg_name(part.index)) if part.index else None
        segment = bool(part.segment)
        if base == "rip":
            return Mem(None, index, part.scale, raw.address + raw.size + part.disp, operand.size)
        return Mem(
            _register(base) if base else None, index, part.scale, part.disp, operand.size, segment
        )


def _register(name: str) -> Reg:
    return GENERAL.get(name, Reg(name, 0))
