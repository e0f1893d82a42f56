"""A handler: how one record type is sized, checked and loaded by one release."""

from collections.abc import Callable
from typing import NamedTuple

from xensave import catalogue
from xensave.catalogue.errnos import Errno
from xensave.catalogue.model import EXACT, PER_VCPU, Binding, Cite, Layout
from xensave.engine.domain import Domain
from xensave.engine.loop.body import Body, places
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.reader import SIZE, ContextCursor, Mismatch
from xensave.engine.loop.rule import CHECK, LOAD, HandlerRule, Refusal, first_broken

Tests = tuple["Callable[[Body, Machine], str | None]", ...]
"""What rules ask of a body, in their order."""

_INSTANCES = 1 << 16

VCPU = "vcpu"
PAIR = "pair"
ANY = "any"

LENGTH = "ENTRY_LENGTH"
INSTANCE = "ENTRY_INSTANCE"
DEVICE = "ENTRY_DEVICE"


class Spec(NamedTuple):
    """What of a handler's frame is its own, as data; the rest is alike in all.

    `device` is the emulated device that the domain must have. `instance` is what the descriptor's
    instance must be: that of a vCPU, 0 or 1 (PAIR), or ANY. `entry_errno` is what the load handler
    answers to a record of the wrong length; a check handler answers ENODATA. A record whose own
    rules nobody has written down is not `modelled`: whether it loads is left open.
    """

    record: str
    instance: str = ANY
    device: str | None = None
    entry_errno: Errno = "EINVAL"
    modelled: bool = True


class Note(NamedTuple):
    """What a load of one record did besides: a fix-up, and what only the host could tell."""

    fixup: str = ""
    depends: tuple[str, ...] = ()


class Handler:
    """A record's handler in one release; `Hypervisor.handlers` has them by typecode.

    `checks` says whether the release checks it in a pass of its own. `size` is the length of the
    struct, `compat_size` that of the older one that is converted, None where there is none.
    `plain` is the length of a record of which its rules alone decide, -1 where a handler does more.
    """

    __slots__ = (
        "binding",
        "check_rules",
        "check_tests",
        "checks",
        "compat_size",
        "device",
        "fixup",
        "load_rules",
        "load_tests",
        "name",
        "places",
        "plain",
        "size",
        "spec",
        "strict",
        "typecode",
    )

    def __init__(
        self,
        binding: Binding,
        spec: Spec,
        rules: tuple[HandlerRule[Body], ...],
        *,
        device: bool,
        layout: Layout | None = None,
        fixup: Callable[[bytes, int], bytes] | None = None,
    ) -> None:
        self.binding = binding
        self.name = binding.name
        self.typecode = binding.typecode
        self.size = binding.size
        self.spec = spec
        self.device = spec.device if device else None
        self.checks = bool(binding.check)
        self.strict = binding.load == EXACT
        self.compat_size = catalogue.layout(binding.compat).size if binding.compat else None
        self.fixup = fixup
        self.places = places(layout or catalogue.layout(binding.layout))
        self.load_rules = tuple(rule for rule in rules if rule.stage == LOAD)
        self.check_rules = tuple(rule for rule in rules if rule.stage == CHECK)
        self.load_tests: Tests = tuple(rule.test for rule in self.load_rules)
        self.check_tests: Tests = tuple(rule.test for rule in self.check_rules)
        ordinary = type(self).load is Handler.load and spec.modelled
        self.plain = self.size if ordinary else -1

    def __repr__(self) -> str:
        return f"<Handler {self.name} ({self.typecode}), {self.size} bytes per {self.binding.kind}>"

    @property
    def per_vcpu(self) -> bool:
        """Whether Xen saves one for each vCPU."""
        return self.binding.kind == PER_VCPU

    def bound(self, domain: Domain) -> int:
        """Returns the first instance that a domain does not take: 0 where it lacks the device."""
        if self.device is not None and domain.lacks(self.device):
            return 0
        return {VCPU: domain.vcpus, PAIR: 2}.get(self.spec.instance, _INSTANCES)

    def save_size(self, machine: Machine) -> int:
        """Returns the bytes that Xen sets aside for it, with descriptors, per vCPU or domain."""
        return max(1, self.binding.instances) * (SIZE + self.size)

    def check(self, reader: ContextCursor, machine: Machine) -> Note:
        """Does what the check handler does. Raises Refusal."""
        cite = Cite(self.binding.check)
        self._admit(reader, machine, cite)
        body = self._entry(reader, "ENODATA", cite)
        return self._apply(self.check_rules, body, machine)

    def load(self, reader: ContextCursor, machine: Machine) -> Note:
        """Does what the load handler does. Raises Refusal."""
        cite = Cite(self.binding.handler)
        self._admit(reader, machine, cite)
        body = self._entry(reader, self.spec.entry_errno, cite)
        note = self._apply(self.load_rules, body, machine)
        if not self.spec.modelled:
            unknown = f"{self.name}[{body.instance}]: what its handler requires"
            note = note._replace(depends=(*note.depends, unknown))
        if body.length != self.size:
            return note._replace(fixup=f"{self.name} from {body.length} to {self.size} bytes")
        return note

    def stored(self, body: bytes) -> bytes:
        """Returns the body as the domain keeps it: zero-extended and converted."""
        if len(body) == self.size:
            return body
        wide = body.ljust(self.size, b"\0")
        return self.fixup(wide, len(body)) if self.fixup is not None else wide

    def _admit(self, reader: ContextCursor, machine: Machine, cite: Cite) -> None:
        """Checks the domain's device and the instance, which come before the length."""
        if self.device is not None and machine.domain.lacks(self.device):
            reason = f"the domain ({machine.domain.type}) has no {self.device}"
            raise Refusal("ENODEV", DEVICE, reason, cite)
        instance = reader.descriptor()[1]
        if self.spec.instance == VCPU and instance >= machine.domain.vcpus:
            reason = f"the domain has no vCPU {instance}"
            raise Refusal("EINVAL", INSTANCE, reason, cite)
        if self.spec.instance == PAIR and instance > 1:
            raise Refusal("ENOENT", INSTANCE, f"there is no {self.name} {instance}", cite)

    def _entry(self, reader: ContextCursor, errno: Errno, cite: Cite) -> Body:
        instance = reader.descriptor()[1]
        try:
            data = reader.entry(self.typecode, self.size, strict=self.strict)
        except Mismatch as first:
            if self.compat_size is None:
                raise Refusal(errno, LENGTH, str(first), cite) from None
            try:
                data = reader.entry(self.typecode, self.compat_size, strict=self.strict)
            except Mismatch:
                raise Refusal(errno, LENGTH, str(first), cite) from None
        return Body(self.stored(data), self.places, instance, len(data))

    def _apply(self, rules: tuple[HandlerRule[Body], ...], body: Body, machine: Machine) -> Note:
        depends: list[str] = []
        label = f"{self.name}[{body.instance}]"
        broken = first_broken(rules, body, machine, label, depends)
        if broken is not None:
            rule, detail = broken
            raise Refusal(rule.errno, rule.id, f"{rule.sentence}: {detail}", rule.cite)
        return Note("", tuple(depends))


class OwnLength(Handler):
    """A handler that checks the length of its record itself."""

    __slots__ = ()

    def stored(self, body: bytes) -> bytes:
        """Returns the body as it is: its length is its own."""
        return body

    def _admitted(
        self, reader: ContextCursor, machine: Machine, rule: str, cite: Cite
    ) -> tuple[int, int]:
        """Returns instance and length of a record that is there in full. Raises Refusal."""
        self._admit(reader, machine, cite)
        _, instance, length = reader.descriptor()
        if length > reader.left - SIZE:
            reason = f"its length is {length}, {reader.left - SIZE} bytes are left"
            raise Refusal("ENODATA", rule, reason, cite)
        return instance, length


Handlers = dict[int, Handler]
"""A release's handler table, by typecode."""
