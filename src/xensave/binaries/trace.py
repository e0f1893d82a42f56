"""Follow a function of a hypervisor without running it: which constants reach which place.

Constants are carried through registers, the stack and arithmetic along every path, so that what a
call passes is found whatever order a compiler chose: immediates, rip-relative addresses, pushed or
stored arguments, tail calls, and callees inlined or not. What cannot be known stays unknown; a sum
of an unknown and a constant is kept as such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from xensave.binaries.code import Decoder, Imm, Instruction, Mem, Reg
from xensave.binaries.effects import apply
from xensave.binaries.elf import Binary
from xensave.binaries.values import MachineState, Value
from xensave.errors import LimitExceeded

ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_SCRATCH = frozenset((*ARGUMENTS, "rax", "r10", "r11"))
_STACK = 0x7000_0000_0000
_END = 0x6000_0000_0000
_LONGEST = 16
# Of one function, and of all that are followed in a binary (4.17's takes 4,000).
MAX_STEPS = 50_000
MAX_TOTAL = 2_000_000
MAX_VISITS = 3
# How large a callee, and how deep, is looked at for the registers that it leaves alone.
_SMALL = 256
_DEEP = 2

_STOPS = {"ud2", "hlt", "int3"}


class MemoryStore(NamedTuple):
    """A store of `size` bytes to a known address."""

    address: int
    value: Value
    size: int


class Call(NamedTuple):
    """A call or tail jump to a function that is not followed: its six register arguments."""

    target: int
    arguments: tuple[Value, ...]


class Trace(NamedTuple):
    """What a function was seen to do; `complete` is false where the step limit cut it short."""

    stores: list[MemoryStore]
    calls: list[Call]
    results: list[Value]
    complete: bool


class Tracer:
    """Follows functions of one binary; calls to `follow` addresses are entered, others skipped."""

    def __init__(self, binary: Binary, follow: Iterable[int] = ()) -> None:
        self._binary = binary
        self.follow = frozenset(follow)
        self._decoder = Decoder()
        self._decoded: dict[int, Instruction | None] = {}
        self._clobbers: dict[tuple[int, int], frozenset[str]] = {}
        self._left = MAX_TOTAL

    def trace(self, start: int) -> Trace:
        """Follows the function at `start` to its returns.

        Raises LimitExceeded where all that was followed comes to more than MAX_TOTAL steps.
        """
        run = _Run(self)
        self._left -= run.go(start)
        if self._left < 0:
            raise LimitExceeded(f"more than {MAX_TOTAL:,} instructions to follow")
        return run.trace

    def instruction(self, address: int) -> Instruction | None:
        """Returns the instruction at an address; None where there is none."""
        if address not in self._decoded:
            code = self._binary.code_at(address, _LONGEST)
            self._decoded[address] = self._decoder.at(code, address) if code else None
        return self._decoded[address]

    def starts_function(self, address: int) -> bool:
        """Tells whether a function of the symbol table begins at an address."""
        return bool(self._binary.name_at(address))

    def clobbered(self, target: int, depth: int = 0) -> frozenset[str]:
        """Returns the scratch registers that a call may change.

        A compiler that sees the callee keeps values in registers which that one does not write
        (gcc's -fipa-ra), so a small callee's own instructions are asked.
        """
        key = (target, depth)
        if key not in self._clobbers:
            self._clobbers[key] = self._written(target, depth) & _SCRATCH | {"rax"}
        return self._clobbers[key]

    def _written(self, target: int, depth: int) -> frozenset[str]:
        function = self._binary.function_at(target)
        if depth > _DEEP or not function or function.address != target:
            return _SCRATCH
        if not 0 < function.size <= _SMALL:
            return _SCRATCH
        at, end, written = target, target + function.size, set[str]()
        while at < end:
            instruction = self.instruction(at)
            if instruction is None:
                return _SCRATCH
            written.update(instruction.writes)
            if instruction.jump or instruction.mnemonic == "call":
                callee = instruction.operands[0]
                if not isinstance(callee, Imm):
                    return _SCRATCH
                if not target <= callee.value < end:
                    written |= self.clobbered(callee.value, depth + 1)
            at = instruction.next
        return frozenset(written)


class _Run:
    """One traversal: paths not yet taken, how often each branch was, and what was seen."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._visits: Counter[tuple[tuple[int, ...], int]] = Counter()
        self._paths: list[tuple[int, MachineState]] = []
        self._start = 0
        self.trace = Trace([], [], [], True)

    def go(self, start: int) -> int:
        state = MachineState()
        state.registers["rsp"] = Value(_STACK)
        state.store(Value(_STACK), Value(_END), 8)
        self._start = start
        self._paths.append((start, state))
        steps = 0
        while self._paths:
            at, state = self._paths.pop()
            while instruction := self._tracer.instruction(at):
                steps += 1
                if steps > MAX_STEPS:
                    self.trace = self.trace._replace(complete=False)
                    return steps
                goes_on = self._step(instruction, state)
                if goes_on is None:
                    break
                at = goes_on
        return steps

    def _step(self, instruction: Instruction, state: MachineState) -> int | None:
        """Applies an instruction and says where the path goes on; None where it ends."""
        name = instruction.mnemonic
        if name in _STOPS:
            return None
        if name == "ret":
            return self._return(state)
        if name == "call":
            return self._call(instruction, state)
        if name == "jmp":
            return self._jump(instruction, state)
        if instruction.jump:
            return self._branch(instruction, state)
        apply(instruction, state, self._stored)
        return instruction.next

    def _stored(self, state: MachineState, mem: Mem, value: Value) -> None:
        address = state.address(mem)
        state.store(address, value, mem.size)
        if address.known and not _STACK - (1 << 20) < address.const < _STACK + (1 << 20):
            self.trace.stores.append(MemoryStore(address.const, value, mem.size))

    def _return(self, state: MachineState) -> int | None:
        pointer = state.register(Reg("rsp", 64))
        target = state.load(pointer, 8)
        state.registers["rsp"] = pointer.plus(8)
        if state.returns and target == Value(state.returns[-1]):
            state.returns = state.returns[:-1]
            return target.const
        self.trace.results.append(state.register(Reg("rax", 64)))
        return None

    def _call(self, instruction: Instruction, state: MachineState) -> int | None:
        target = instruction.operands[0]
        if isinstance(target, Imm) and target.value in self._tracer.follow:
            if instruction.next in state.returns:
                return None
            pointer = state.register(Reg("rsp", 64)).plus(-8)
            state.registers["rsp"] = pointer
            state.store(pointer, Value(instruction.next), 8)
            state.returns = (*state.returns, instruction.next)
            return target.value
        called = target.value if isinstance(target, Imm) else 0
        self._seen(called, state)
        for name in self._tracer.clobbered(called):
            state.registers[name] = state.fresh()
        return instruction.next

    def _jump(self, instruction: Instruction, state: MachineState) -> int | None:
        target = instruction.operands[0]
        if not isinstance(target, Imm):
            return None
        leaves = target.value != self._start and self._tracer.starts_function(target.value)
        if leaves and target.value not in self._tracer.follow:
            # A tail call, or a return thunk: the callee's return is this function's.
            self._seen(target.value, state)
            return self._return(state)
        return self._once(target.value, state)

    def _branch(self, instruction: Instruction, state: MachineState) -> int | None:
        target = instruction.operands[0]
        if isinstance(target, Imm) and self._once(target.value, state) is not None:
            self._paths.append((target.value, state.copy()))
        return self._once(instruction.next, state)

    def _once(self, target: int, state: MachineState) -> int | None:
        """The target, unless paths have come this way often enough (a loop)."""
        key = (state.returns, target)
        self._visits[key] += 1
        return target if self._visits[key] <= MAX_VISITS else None

    def _seen(self, target: int, state: MachineState) -> None:
        arguments = tuple(state.register(Reg(name, 64)) for name in ARGUMENTS)
        self.trace.calls.append(Call(target, arguments))
