"""Ask the engine whether the target takes what was converted, before its end is written."""

from __future__ import annotations

from collections.abc import Collection

from xensave.catalogue.model import Release
from xensave.container import hvm, libxc, libxl, xl
from xensave.container.framing import pack_record
from xensave.convert.plan import Plan, Refused
from xensave.engine import Policy
from xensave.errors import LimitExceeded
from xensave.image import open_image
from xensave.toolstack.image import carried_policy
from xensave.toolstack.image import judge as judge_image

POLICY_LIMIT = 64 * 1024
MOST_POLICIES = 16


class Skeleton:
    """The converted image without its pages, and the CPU policies that it came with.

    The guest ran under those; where a version 2 stream cannot carry them, they still say what
    its state may hold. A checkpointed stream is judged at each checkpoint, by the newest context
    and params.
    """

    def __init__(self, target: Release) -> None:
        self.target = target
        self._config = b""
        self._front: list[bytes] = []
        self._policies: list[bytes] = []
        self._rest: dict[int, bytes] = {}
        self._bare = b""

    def config(self, optional: bytes) -> None:
        """Keep the optional data of the xl header: it says what kind of guest it is."""
        self._config = optional

    def begin(self, header: bytes) -> None:
        """Begin a libxc stream with its image header."""
        self._front = [header]
        self._policies = []
        self._rest = {}

    def add(self, part: bytes) -> None:
        """Add the domain header, or a record of static data that is kept."""
        self._front.append(part)

    def add_policy(self, record: bytes) -> None:
        """Add X86_CPUID_POLICY or X86_MSR_POLICY, kept or not."""
        self._policies.append(record)
        if sum(map(len, self._policies)) > POLICY_LIMIT or len(self._policies) > MOST_POLICIES:
            raise LimitExceeded(
                f"more CPU policy than {POLICY_LIMIT} bytes or {MOST_POLICIES} records"
            )

    def policy(self) -> Policy | None:
        """Return the CPU policy that the guest ran under, where the image carries it."""
        if not self._policies:
            return None
        header = libxc.ImageHeader(version=3).to_bytes() + libxc.DomainHeader(libxc.HVM).to_bytes()
        with open_image(header + b"".join(self._policies) + pack_record(libxc.END)) as image:
            return carried_policy(image, "the image")

    def put(self, type_: int, body: bytes | memoryview) -> None:
        """Set the context or params: the last one before END or CHECKPOINT counts."""
        self._rest[type_] = bytes(body)

    def bare(self, context: bytes | memoryview) -> None:
        """Say that the whole is this HVM context."""
        self._bare = bytes(context)

    def to_bytes(self, kept: Collection[int] = ()) -> bytes:
        """Return the image; its context lacks the typecodes kept for a downstream."""
        if self._bare:
            return _without(self._bare, kept)
        rest = dict(self._rest)
        if libxc.HVM_CONTEXT in rest:
            rest[libxc.HVM_CONTEXT] = _without(rest[libxc.HVM_CONTEXT], kept)
        records = [pack_record(type_, body) for type_, body in rest.items()]
        stream = b"".join([*self._front, *records, pack_record(libxc.END)])
        header = xl.XlHeader(optional_length=len(self._config)).to_bytes()
        front = [header, self._config, libxl.LibxlHeader().to_bytes()]
        return b"".join([*front, pack_record(libxl.LIBXC_CONTEXT), stream, pack_record(libxl.END)])


def judge(
    skeleton: Skeleton, plan: Plan, kept: Collection[int], policy: Policy | None = None
) -> None:
    """Raise Refused, with the engine's reason, where the target would refuse the image.

    The domain is the one that the image describes: its type, vCPUs, params and CPU policy.
    `policy` is for an image without one; failing that the engine's default holds.
    """
    with open_image(skeleton.to_bytes(kept), release=plan.target) as image:
        verdict = judge_image(image, plan.target, policy=skeleton.policy() or policy)
    if verdict.accepted is False:
        errno = f" with {verdict.errno}" if verdict.errno else ""
        raise Refused(
            f"Xen {plan.target} would refuse the result{errno}: {verdict.reason}",
            plan,
            record=verdict.record,
        )
    plan.depends = tuple(dict.fromkeys([*plan.depends, *verdict.depends]))


def _without(context: bytes, codes: Collection[int]) -> bytes:
    if not codes:
        return context
    raw = hvm.RawContext.parse(context)
    entries = [entry for entry in raw.entries if entry.typecode not in codes]
    return raw._replace(entries=entries).to_bytes()
