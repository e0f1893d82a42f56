"""What each instruction does to the state: a table from mnemonic to effect.

An instruction that the table lacks makes what it writes unknown, so a missing entry can lose a
constant but never invent one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from xensave.binaries.code import Instruction, Mem, Reg
from xensave.binaries.values import WORD, MachineState, Value

Stored = Callable[[MachineState, Mem, Value], None]
Effect = Callable[[Instruction, MachineState, Stored], None]

_STACK_POINTER = Reg("rsp", 64)
_FRAME_POINTER = Reg("rbp", 64)


def apply(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    """Changes the state as the instruction would; `stored` is told of each store but a push."""
    EFFECTS.get(instruction.mnemonic, forget)(instruction, state, stored)


def forget(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    """Makes everything that the instruction writes unknown."""
    for name in instruction.writes:
        state.registers[name] = state.fresh()
    target = instruction.operands[0] if instruction.operands else None
    if isinstance(target, Mem) and target.size:
        stored(state, target, state.fresh())


def nothing(_instruction: Instruction, _state: MachineState, _stored: Stored) -> None:
    """Leaves the state alone: compares, fences, no-ops."""


def _write(instruction: Instruction, state: MachineState, stored: Stored, value: Value) -> None:
    target = instruction.operands[0]
    if isinstance(target, Reg):
        state.set_register(target, value)
    elif isinstance(target, Mem):
        stored(state, target, state.narrowed(value, target.size * 8))


def _move(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    _write(instruction, state, stored, state.read(instruction.operands[1]))


def _sign_extend(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    source = instruction.operands[1]
    value = state.read(source)
    bits = source.bits if isinstance(source, Reg) else 64
    bits = source.size * 8 if isinstance(source, Mem) else bits
    if bits and value.known and value.const >> bits - 1 & 1:
        value = value.plus(-(1 << bits))
    _write(instruction, state, stored, value)


def _sign_extend_rax(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    whole, half = Reg("rax", 64), Reg("rax", 32)
    _sign_extend(instruction._replace(operands=(whole, half)), state, stored)


def _load_address(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    source = instruction.operands[1]
    value = state.address(source) if isinstance(source, Mem) else state.fresh()
    _write(instruction, state, stored, value)


def _push(instruction: Instruction, state: MachineState, _stored: Stored) -> None:
    value = state.read(instruction.operands[0])
    pointer = state.register(_STACK_POINTER).plus(-8)
    state.set_register(_STACK_POINTER, pointer)
    state.store(pointer, value, 8)


def _pop(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    pointer = state.register(_STACK_POINTER)
    value = state.load(pointer, 8)
    state.set_register(_STACK_POINTER, pointer.plus(8))
    _write(instruction, state, stored, value)


def _leave(_instruction: Instruction, state: MachineState, _stored: Stored) -> None:
    frame = state.register(_FRAME_POINTER)
    state.set_register(_STACK_POINTER, frame.plus(8))
    state.set_register(_FRAME_POINTER, state.load(frame, 8))


def _exchange(instruction: Instruction, state: MachineState, stored: Stored) -> None:
    left, right = instruction.operands
    was_left, was_right = state.read(left), state.read(right)
    _write(instruction, state, stored, was_right)
    _write(instruction._replace(operands=(right, left)), state, stored, was_left)


def _arithmetic(compute: Callable[[int, int], int]) -> Effect:
    """The last two operands computed into the first (imul has forms of two and of three)."""

    def effect(instruction: Instruction, state: MachineState, stored: Stored) -> None:
        if len(instruction.operands) < 2:
            forget(instruction, state, stored)
            return
        left, right = instruction.operands[-2:]
        a, b = state.read(left), state.read(right)
        if compute in _ITSELF and left == right and isinstance(left, Reg):
            result = Value(0)
        elif a.known and b.known:
            result = Value(compute(a.const, b.const) & WORD)
        elif compute in _SUMS and b.known:
            result = a.plus(compute(0, b.const))
        elif compute is operator.add and a.known:
            result = b.plus(a.const)
        else:
            result = state.fresh()
        _write(instruction, state, stored, result)

    return effect


# Of one register with itself these give 0 whatever it held.
_ITSELF = {operator.xor, operator.sub}
_SUMS = {operator.add, operator.sub}


def _step(amount: int) -> Effect:
    def effect(instruction: Instruction, state: MachineState, stored: Stored) -> None:
        _write(instruction, state, stored, state.read(instruction.operands[0]).plus(amount))

    return effect


def _shift_left(a: int, b: int) -> int:
    return a << (b & 63)


def _shift_right(a: int, b: int) -> int:
    return a >> (b & 63)


EFFECTS: dict[str, Effect] = {
    "mov": _move,
    "movabs": _move,
    "movzx": _move,
    "movsx": _sign_extend,
    "movsxd": _sign_extend,
    "cdqe": _sign_extend_rax,
    "lea": _load_address,
    "push": _push,
    "pop": _pop,
    "leave": _leave,
    "xchg": _exchange,
    "add": _arithmetic(operator.add),
    "sub": _arithmetic(operator.sub),
    "and": _arithmetic(operator.and_),
    "or": _arithmetic(operator.or_),
    "xor": _arithmetic(operator.xor),
    "imul": _arithmetic(operator.mul),
    "shl": _arithmetic(_shift_left),
    "sal": _arithmetic(_shift_left),
    "shr": _arithmetic(_shift_right),
    "inc": _step(1),
    "dec": _step(-1),
    **dict.fromkeys(("cmp", "test", "bt", "nop", "endbr64", "lfence", "pause"), nothing),
}
