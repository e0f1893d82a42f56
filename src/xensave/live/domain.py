"""What Xen says of a running domain: each question a hypercall that is put together here."""

from __future__ import annotations

import errno
import os
import struct
from typing import NamedTuple

from xensave.container.streams.libxc_records import VCPU_CONTEXT_SIZES, TscInfo
from xensave.errors import SourceError, Unsupported
from xensave.live import interface as xen
from xensave.live.interface import Interface, candidates
from xensave.live.libraries import Buffer, Hypercalls

# struct xen_domctl: cmd, interface_version, domain, padding; then a union.
_HEAD = struct.Struct("<IIH6x")
_DOMCTL_SIZE = 4096
_CONTEXT = struct.Struct("<I4xQ")
_DOMID = struct.Struct("<H")
# domain, padding, flags; pages: in all, at most, outstanding, shared, paged out; the shared info
# page's frame, processor time, vCPUs online, the last vCPU's number.
_INFO = struct.Struct("<HHI7QII")
_VCPU = struct.Struct("<I")
_VCPU_CONTEXT = struct.Struct("<I4xQ")
_TSC = struct.Struct("<III4xQ")
_POLICY = struct.Struct("<IIQQIII")
_PARAM = struct.Struct("<HHIQ")
_TYPES = struct.Struct("<QQ")
_ONLINE = 4
"""Where struct xen_domctl_getvcpuinfo says whether a vCPU is online."""
_LEAF_SIZE, _MSR_SIZE = 24, 16
_MOST_LEAVES, _MOST_MSRS = 1024, 256
_CONTEXT_LIMIT = 64 << 20
_TRIES = 4
_ABSENT = (errno.ENOSYS, errno.EOPNOTSUPP)
"""What Xen answers to an operation that it does not have."""

MOST_TYPES = 1024
"""The most frames that getpageframeinfo3 takes."""
TYPE_SHIFT = 28
"""XEN_DOMCTL_PFINFO_LTAB_SHIFT: where a page's type is in what getpageframeinfo3 answers."""


class AbsentDomain(SourceError):
    """A domain that there is not, or not any more."""


class DomainInfo(NamedTuple):
    """What Xen says of a domain: its flags, pages and vCPUs; its shared info page's frame."""

    flags: int
    pages: int
    shared_info_frame: int
    max_vcpu: int


class RunningDomain:
    """A running domain, asked through a library.

    Raises SourceError where there is no such domain, or Xen does not let it be asked.
    """

    def __init__(self, hypercalls: Hypercalls, number: int) -> None:
        self._hypercalls = hypercalls
        self.number = number
        version = hypercalls.call(xen.hypercall("xen_version"), xen.XENVER_VERSION, 0)
        self.xen = (version >> 16, version & 0xFFFF)
        self._domctl = hypercalls.buffer(_DOMCTL_SIZE)
        self._types: Buffer | None = None
        self._interface, self.flags = self._interface_found()

    @property
    def is_hvm(self) -> bool:
        """Whether it is an HVM or PVH guest."""
        return bool(self.flags & xen.DOMINF_HVM_GUEST)

    def _interface_found(self) -> tuple[Interface, int]:
        """Returns the interface that this Xen has, and the domain's flags."""
        for each in candidates(*self.xen):
            self._interface = each
            try:
                answer = self._ask(xen.operation("getdomaininfo"), b"")
            except OSError as error:
                if error.errno == errno.EACCES:
                    continue
                raise self._trouble("getdomaininfo", error) from error
            return each, self._info(answer).flags
        raise SourceError(
            f"Xen {self.xen[0]}.{self.xen[1]} has a control interface that is not known here"
        )

    def _info(self, answer: bytes) -> DomainInfo:
        """Returns what getdomaininfo answers. Raises AbsentDomain where it is of another domain."""
        domain, _, flags, pages, *_, shared_info, _, _, max_vcpu = _INFO.unpack_from(answer)
        # Xen answers for the first domain from that number on.
        if domain != self.number:
            raise AbsentDomain(f"there is no domain {self.number}")
        return DomainInfo(flags, pages, shared_info, max_vcpu)

    def info(self) -> DomainInfo:
        """Returns what Xen says of it now."""
        try:
            return self._info(self._ask(xen.operation("getdomaininfo"), b""))
        except OSError as error:
            raise self._trouble("getdomaininfo", error) from error

    def dies(self) -> bool:
        """Tells whether it is being destroyed, or is so already."""
        try:
            return bool(self.info().flags & xen.DOMINF_DYING)
        except AbsentDomain:
            return True

    def refuse_pv(self) -> None:
        """Raises Unsupported for a PV guest."""
        if not self.is_hvm:
            raise Unsupported(f"domain {self.number} is a PV guest: it has no HVM context")

    def context(self) -> bytes:
        """Returns the HVM context of this moment.

        Raises Unsupported for a PV guest.
        """
        self.refuse_pv()
        size = 0
        for _ in range(_TRIES):
            try:
                size = _CONTEXT.unpack_from(self._ask_context(0, 0))[0]
                buffer = self._memory(size)
                length = _CONTEXT.unpack_from(self._ask_context(size, buffer.address))[0]
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    # It grew between the two questions: a vCPU came up.
                    continue
                raise self._trouble("gethvmcontext", error) from error
            return buffer.read(length)
        raise SourceError(f"the context of domain {self.number} does not fit {size} bytes")

    def policy(self) -> tuple[bytes, bytes] | None:
        """Returns the CPU policy as a stream's X86_CPUID_POLICY and X86_MSR_POLICY hold it.

        None where it cannot be read: XEN_DOMCTL_get_cpu_policy exists from 4.12 on.
        """
        if not self._interface.policy:
            return None
        leaves = self._hypercalls.buffer(_LEAF_SIZE * _MOST_LEAVES)
        msrs = self._hypercalls.buffer(_MSR_SIZE * _MOST_MSRS)
        question = _POLICY.pack(_MOST_LEAVES, _MOST_MSRS, leaves.address, msrs.address, 0, 0, 0)
        answer = self._operate("get_cpu_policy", question, _ABSENT)
        if answer is None:
            return None
        leaf_count, msr_count = _POLICY.unpack_from(answer)[:2]
        return leaves.read(_LEAF_SIZE * leaf_count), msrs.read(_MSR_SIZE * msr_count)

    def tsc(self) -> TscInfo | None:
        """Returns how the TSC is kept; None where this Xen does not say."""
        if not self._interface.tsc:
            return None
        # A guest that was not paused may not be asked of it (EINVAL).
        answer = self._operate("gettscinfo", b"", (errno.EINVAL, *_ABSENT))
        if answer is None:
            return None
        mode, khz, incarnation, nsec = _TSC.unpack_from(answer)
        return TscInfo(mode, khz, nsec, incarnation)

    def param(self, index: int) -> int:
        """Returns an HVM param; 0 for one that may not be read."""
        buffer = self._hypercalls.buffer(_PARAM.size)
        buffer.write(_PARAM.pack(self.number, 0, index, 0))
        try:
            self._hypercalls.call(xen.hypercall("hvm_op"), xen.HVMOP_GET_PARAM, buffer.address)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return 0
            raise self._trouble(f"HVM param {index}", error) from error
        value: int = _PARAM.unpack(buffer.read(_PARAM.size))[3]
        return value

    def width(self) -> int:
        """Returns the bits of a PV guest's words: 64 or 32."""
        answer = self._operate("get_address_size")
        assert answer is not None, "no errno is taken for an answer"
        bits: int = _VCPU.unpack_from(answer)[0]
        if bits not in VCPU_CONTEXT_SIZES:
            raise SourceError(f"domain {self.number} is a guest of {bits} bits")
        return bits

    def vcpu_context(self, vcpu: int, bits: int) -> bytes | None:
        """Returns the vcpu_guest_context of a PV guest's vCPU; None of one that is not online."""
        state = self._operate("getvcpuinfo", _VCPU.pack(vcpu), (errno.ESRCH,))
        if state is None or not state[_ONLINE]:
            return None
        size = VCPU_CONTEXT_SIZES[bits]
        # The hypervisor writes what a 64-bit guest has, if the guest is one or not.
        buffer = self._hypercalls.buffer(max(VCPU_CONTEXT_SIZES.values()))
        self._operate("getvcpucontext", _VCPU_CONTEXT.pack(vcpu, buffer.address))
        return buffer.read(size)

    def pause(self) -> None:
        """Pauses it; Xen counts how often."""
        self._operate("pausedomain")

    def unpause(self) -> None:
        """Undoes one pause."""
        self._operate("unpausedomain")

    def max_frame(self) -> int:
        """Returns the highest frame number that its memory has had."""
        buffer = self._hypercalls.buffer(_DOMID.size)
        buffer.write(_DOMID.pack(self.number))
        try:
            return self._hypercalls.call(
                xen.hypercall("memory_op"), xen.XENMEM_MAXIMUM_GPFN, buffer.address
            )
        except OSError as error:
            raise self._trouble("maximum_gpfn", error) from error

    def page_types(self, frames: bytes) -> bytes | None:
        """Returns a word for each frame, its page's type at TYPE_SHIFT; MOST_TYPES at most.

        Frames and words are 64-bit numbers, as they lie in memory. The types are those of a stream;
        XTAB stands for frames without a page, and for pages of Xen's own that the guest has mapped.
        None where this Xen does not say.
        """
        if self._types is None:
            self._types = self._hypercalls.buffer(8 * MOST_TYPES)
        self._types.write(frames)
        question = _TYPES.pack(len(frames) // 8, self._types.address)
        if self._operate("getpageframeinfo3", question, _ABSENT) is None:
            return None
        return self._types.read(len(frames))

    def _operate(
        self, name: str, question: bytes = b"", absent: tuple[int, ...] = ()
    ) -> bytes | None:
        """Does a domctl; None where its errno is one of `absent`: this Xen has no answer."""
        try:
            return self._ask(xen.operation(name), question)
        except OSError as error:
            if error.errno in absent:
                return None
            raise self._trouble(name, error) from error

    def _ask_context(self, size: int, address: int) -> bytes:
        return self._ask(xen.operation("gethvmcontext"), _CONTEXT.pack(size, address))

    def _memory(self, size: int) -> Buffer:
        if size > _CONTEXT_LIMIT:
            raise SourceError(f"a context of {size} bytes, the limit is {_CONTEXT_LIMIT}")
        return self._hypercalls.buffer(size)

    def _ask(self, command: int, question: bytes) -> bytes:
        """Does a domctl, and returns the union that it left."""
        head = _HEAD.pack(command, self._interface.version, self.number)
        whole = head + question
        self._domctl.write(whole + bytes(_DOMCTL_SIZE - len(whole)))
        self._hypercalls.call(xen.hypercall("domctl"), self._domctl.address)
        return self._domctl.read(_DOMCTL_SIZE - _HEAD.size, _HEAD.size)

    def _trouble(self, what: str, error: OSError) -> SourceError:
        if error.errno == errno.ESRCH:
            return AbsentDomain(f"there is no domain {self.number}")
        if error.errno == errno.EINVAL:
            return SourceError(f"domain {self.number} cannot be asked ({what}): is it this one?")
        if error.errno == errno.EPERM:
            return SourceError(f"no right to ask of domain {self.number} ({what})")
        reason = os.strerror(error.errno) if error.errno else str(error)
        return SourceError(f"domain {self.number}: {what}: {reason}")
