"""What a register or a stack slot may hold while code is followed without being run."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

from xensave.binaries.code import Imm, Mem, Operand, Reg

WORD = (1 << 64) - 1


class Value(NamedTuple):
    """A 64-bit number: `const` alone where `unknown` is 0, else that unknown plus `const`."""

    const: int
    unknown: int = 0

    @property
    def known(self) -> bool:
        """Whether it is a plain number."""
        return not self.unknown

    def plus(self, amount: int) -> Value:
        """Returns the sum with a constant, modulo 2^64."""
        return Value(self.const + amount & WORD, self.unknown)


class MachineState:
    """Registers and the memory written so far, on one path through the code.

    Memory is what the path itself stored at known addresses; any other address reads as unknown,
    and a store to an unknown address is taken not to reach the stack frame.
    """

    _fresh = count(1)

    def __init__(self) -> None:
        self.registers: dict[str, Value] = {}
        self.memory: dict[int, tuple[Value, int]] = {}
        self.returns: tuple[int, ...] = ()
        # Of an unknown whose low bits were written apart: how many, and what they are.
        self._low: dict[int, tuple[int, int]] = {}

    def copy(self) -> MachineState:
        """Returns the same state, to go another way with."""
        other = MachineState()
        other.registers = dict(self.registers)
        other.memory = dict(self.memory)
        other.returns = self.returns
        other._low = dict(self._low)
        return other

    def fresh(self) -> Value:
        """Returns a value of which nothing is known."""
        return Value(0, next(self._fresh))

    def register(self, reg: Reg) -> Value:
        """Returns what a register holds.

        The low or second byte of an unknown is another unknown.
        """
        if not reg.bits:
            return self.fresh()
        whole = self.registers.setdefault(reg.name, self.fresh())
        return self.narrowed(whole, reg.bits, reg.shift)

    def narrowed(self, value: Value, bits: int, shift: int = 0) -> Value:
        """Returns the low `bits` above `shift`.

        An unknown cut to 32 bits counts as small enough to fit.
        """
        if value.known:
            return Value(value.const >> shift & (1 << bits) - 1)
        if bits >= 32:
            return value
        known, low = self._low.get(value.unknown, (0, 0))
        if value.const or bits + shift > known:
            return self.fresh()
        return Value(low >> shift & (1 << bits) - 1)

    def set_register(self, reg: Reg, value: Value) -> None:
        """Writes a register: 32 bits clear the upper half, fewer keep what is above."""
        if not reg.bits:
            return
        if reg.bits >= 32:
            self.registers[reg.name] = self.narrowed(value, reg.bits)
            return
        old = self.registers.setdefault(reg.name, self.fresh())
        mask = (1 << reg.bits) - 1 << reg.shift
        if old.known and value.known:
            self.registers[reg.name] = Value(old.const & ~mask | value.const << reg.shift & mask)
            return
        new = self.registers[reg.name] = self.fresh()
        if value.known and not reg.shift:
            self._low[new.unknown] = (reg.bits, value.const & mask)

    def address(self, mem: Mem) -> Value:
        """Returns the address of a memory operand."""
        if mem.segment:
            return self.fresh()
        total = Value(mem.disp & WORD)
        if mem.base:
            total = self.register(mem.base).plus(mem.disp)
        if mem.scaled:
            index = self.register(mem.scaled)
            if not index.known:
                return self.fresh()
            total = total.plus(index.const * mem.scale)
        return total

    def load(self, address: Value, size: int) -> Value:
        """Returns what this path stored at an address, else an unknown."""
        if address.known and address.const in self.memory:
            value, stored = self.memory[address.const]
            if size <= stored:
                return self.narrowed(value, size * 8)
        return self.fresh()

    def store(self, address: Value, value: Value, size: int) -> None:
        """Keeps what is stored at a known address, forgetting what it overlaps."""
        if not address.known:
            return
        for near in range(address.const - 7, address.const + size):
            if near in self.memory and near + self.memory[near][1] > address.const:
                del self.memory[near]
        self.memory[address.const] = (value, size)

    def read(self, operand: Operand) -> Value:
        """Returns the value of any operand."""
        if isinstance(operand, Imm):
            return Value(operand.value & WORD)
        if isinstance(operand, Reg):
            return self.register(operand)
        return self.load(self.address(operand), operand.size)
