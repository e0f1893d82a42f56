"""hvm_save(), hvm_save_one() and hvm_save_size(): what a release writes of a domain's state."""

from __future__ import annotations

from xensave.catalogue.model import OWN
from xensave.container.streams import hvm
from xensave.engine.loop.handler import Handler, Handlers
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.reader import SIZE
from xensave.engine.state import DomainState
from xensave.errors import UsageError

_UNKNOWN_CHANGESET = (1 << 64) - 1


def save_size(handlers: Handlers, machine: Machine) -> int:
    """Returns the bytes that hvm_save_size() sets aside: header, END, and each handler's most."""
    total = 2 * SIZE + hvm.HEADER_SIZE
    for handler in handlers.values():
        times = machine.domain.vcpus if handler.per_vcpu else 1
        total += times * handler.save_size(machine)
    return total


def save_context(state: DomainState, handlers: Handlers, machine: Machine) -> bytes:
    """Returns HEADER, the records by typecode and instance, and END, as hvm_save() writes them.

    Raises UsageError for records without a handler, of another length, of devices that the domain
    lacks or vCPUs that it has not.
    """
    strange = sorted({code for code, _ in state.bodies} - set(handlers))
    if strange:
        raise UsageError(f"the release has no handler for typecode {strange[0]}")
    entries = [hvm.Entry(hvm.HEADER_TYPECODE, 0, state.header or _header(machine))]
    for code in sorted(handlers):
        handler = handlers[code]
        for instance, body in state.of(code):
            _check(handler, instance, body, machine)
            entries.append(hvm.Entry(code, instance, body))
    return hvm.pack_entries([*entries, hvm.Entry(hvm.END_TYPECODE, 0, b"")])


def save_one(
    state: DomainState, typecode: int, instance: int, handlers: Handlers, machine: Machine
) -> bytes | str:
    """Returns a record's body, or the errno's name.

    EINVAL for a typecode that is not saved, ENOENT for a vCPU or a domain's record that is not
    there, ENODATA where a vCPU wrote no such record.
    """
    handler = handlers.get(typecode)
    if handler is None:
        return "EINVAL"
    if handler.per_vcpu and instance >= machine.domain.vcpus:
        return "ENOENT"
    body = state.bodies.get((typecode, instance))
    if body is not None:
        return body
    return "ENODATA" if handler.per_vcpu else "ENOENT"


def _check(handler: Handler, instance: int, body: bytes, machine: Machine) -> None:
    label = f"{handler.name}[{instance}]"
    if handler.binding.load != OWN and len(body) != handler.size:
        raise UsageError(f"{label} has {len(body)} bytes, the release writes {handler.size}")
    if handler.per_vcpu and instance >= machine.domain.vcpus:
        raise UsageError(f"{label}: the domain has {machine.domain.vcpus} vCPUs")
    if handler.device is not None and machine.domain.lacks(handler.device):
        raise UsageError(f"{label}: the domain ({machine.domain.type}) has no {handler.device}")


def _header(machine: Machine) -> bytes:
    signature = machine.policy.signature
    return hvm.HEADER_BODY.pack(
        hvm.HEADER_MAGIC, hvm.HEADER_VERSION, _UNKNOWN_CHANGESET, signature, 0
    )
