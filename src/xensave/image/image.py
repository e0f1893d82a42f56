"""The image: counted once, and asked for what it holds of the guest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xensave import catalogue
from xensave.container.description import Config, Json
from xensave.container.events import LIBXC, Event
from xensave.container.streams import libxc
from xensave.container.streams.libxc import DomainHeader
from xensave.context import AbsentRecord, Context
from xensave.errors import LimitExceeded, UsageError
from xensave.image.counted import CountedImage, facts_of
from xensave.image.facts.guest import GuestFacts, GuestType
from xensave.image.tally import BufferedRecord, tally
from xensave.source import Input, Source

if TYPE_CHECKING:
    from xensave.container.streams.libxc_records import CpuidLeaf, TscInfo
    from xensave.image.facts.emulator import Emulator
    from xensave.image.memory.vcpu import Vcpu
    from xensave.memory import Memory


class Image(CountedImage):
    """A save image, a libxl or libxc stream, or a bare HVM context.

    It is opened by a path, "-", a descriptor, a binary file or bytes; compressed or not. `release`
    is the Xen release to take layouts from where the image does not name it, or names it wrongly.
    `max_size` limits the decompressed bytes. With `glance` the records of pages are passed over
    where what stands behind them can be found from the end. `format` names the container format
    where the first bytes do not tell it. `source` is the same input, where it is open already, at
    its start.

    Nothing is read until something is asked; then one pass counts the records and keeps those
    that are small. Contents of pages are never read. Errors of that pass (Truncated, Malformed,
    Unsupported, LimitExceeded) come with the first question; SourceError comes at once where there
    is nothing to read. What an image does not carry is None or empty.

    >>> with open_image("examples/hvm1.ctx", release="4.17") as image:
    ...     image.containers, image.type, len(image.context)
    (('HVM context',), 'hvm', 20)
    """

    def __init__(
        self,
        what: Input,
        *,
        release: str | None = None,
        max_size: int | None = None,
        glance: bool = False,
        format: str | None = None,
        source: Source | None = None,
    ) -> None:
        self._release = catalogue.series_of(release) if release is not None else None
        super().__init__(what, max_size=max_size, glance=glance, format=format, source=source)
        self._facts: GuestFacts | None = None
        self._context: Context | None = None
        self._refused: LimitExceeded | None = None
        self._memory: Memory | None = None
        self._type: GuestType | None = None
        self._pv_bodies: dict[int, bytes] | None = None
        self._emulators: tuple[Emulator, ...] | None = None

    @property
    def facts(self) -> GuestFacts:
        """What the image says of the guest, and which rules of the formats its records break.

        It is complete as far as the stream can be followed; `stop` says why no further. Raises
        SourceError where the input itself fails, UsageError for a pipe that was read already.
        """
        if self._facts is None or self._facts.broken is None:
            from xensave.image.facts.pages import PageTally
            from xensave.rules.stream.run import Checks

            checks, pages = Checks(), PageTally()

            def each(event: Event) -> None:
                checks.add(event)
                pages.add(event)

            self._tally = tally(self._input.again(), each, glance=self._glance)
            self._facts = facts_of(
                self._tally,
                self.name,
                self._release,
                broken=tuple(checks.findings),
                pages=None if self._tally.unread else pages.facts,
            )
        return self._facts

    @property
    def _tallied(self) -> GuestFacts:
        if self._facts is None:
            self._facts = facts_of(self.tally, self.name, self._release)
        return self._facts

    @property
    def domain(self) -> DomainHeader | None:
        """The domain header of the libxc stream."""
        return self._tallied.domain

    @property
    def xen(self) -> str | None:
        """The version of the Xen that saved it: "4.17"; None in a bare context."""
        return self._tallied.xen

    @property
    def release(self) -> str | None:
        """The release whose layouts it is read by: the one given, or the one that saved it.

        None where that is not known, or not in the catalogue: layouts go by length then.
        """
        return self._tallied.release

    @property
    def type(self) -> GuestType:
        """The guest's type: "pv", "pvh" or "hvm".

        The configuration says it; without one a guest with an emulator or a PIC is "hvm".
        """
        if self._type is None:
            # The records of a whole context may have to be looked at.
            self._type = self._tallied.type
        return self._type

    @property
    def width(self) -> int | None:
        """The bits of a PV guest's words, 64 or 32; None for other guests, or if it is not said."""
        return self._tallied.width

    @property
    def guest(self) -> str | None:
        """The guest's name, from the configuration. It is the guest's owner's text: escape it."""
        name = self._configuration.get("c_info", "name")
        return name if isinstance(name, str) else None

    @property
    def config(self) -> Mapping[str, Json]:
        """The domain's configuration as libxl's JSON; {} where there is none."""
        return self._tallied.config.checked().values

    @property
    def config_text(self) -> str:
        """The domain's configuration as it was saved: JSON, or xl's own syntax."""
        return self._configuration.text

    @property
    def _configuration(self) -> Config:
        return self._tallied.described.checked()

    @property
    def context(self) -> Context:
        """The HVM context: of a checkpointed stream, the last.

        Raises AbsentRecord where there is none, as in a PV guest's image.
        """
        if self._context is None:
            if self._refused is not None:
                raise self._refused.with_traceback(None)
            record = self._context_record
            try:
                self._context = Context.parse(record.body, self.release, record.body_offset)
            except LimitExceeded as error:
                # A quarter of a million records are read until then: not for each who asks.
                self._refused = error
                raise
        return self._context

    @property
    def context_bytes(self) -> bytes:
        """The HVM context as it lies in the image, whether or not it can be parsed."""
        return self._context_record.body

    @property
    def _context_record(self) -> BufferedRecord:
        record = self.tally.last_context
        if record is None:
            raise AbsentRecord("the image holds no HVM context")
        return record

    @property
    def has_context(self) -> bool:
        """Whether there is an HVM context."""
        return self.tally.last_context is not None

    @property
    def vcpus(self) -> int:
        """How many vCPUs were saved."""
        if self.has_context:
            return self.context.vcpus
        basic = self.tally.all(LIBXC, libxc.X86_PV_VCPU_BASIC)
        return len({record.body[:4] for record in basic})

    @property
    def distinct_pages(self) -> int | None:
        """How many frames have contents, each counted once however often it was sent.

        Where frames were sent again this takes a second pass; None where the input, a pipe, was
        read already.
        """
        if not self.tally.resent:
            return self.pages
        try:
            return len(self.memory.index)
        except UsageError:
            return None

    @property
    def configured_memory(self) -> int | None:
        """The guest's memory in bytes as configured; None where the image does not say."""
        kilobytes = self._configuration.get("b_info", "max_memkb")
        return kilobytes * 1024 if isinstance(kilobytes, int) else None

    @property
    def params(self) -> dict[int, int]:
        """The HVM params: index to value. `xensave.records.meaning.params` has their names."""
        return self._tallied.param

    @property
    def memory(self) -> Memory:
        """The guest's physical memory, indexed in one pass over the image.

        A pipe or compressed input is first written to a file without a name, as
        `xensave.source.spill` says, and read from there on.
        """
        if self._memory is None:
            # numpy, and the index, are of no use to who asks for records.
            from xensave.container.runs import SHORTEST, walk_in_runs
            from xensave.memory import Memory, build_index
            from xensave.memory.appendix import Appendix
            from xensave.memory.batches import batches

            self._input.spill()
            appendix = Appendix(self._input.source)
            events = walk_in_runs(self._input.again(), listed="all", least=SHORTEST)
            index = build_index(batches(events, appendix))
            self._memory = Memory(appendix.source, index)
        return self._memory

    def require_memory(self) -> Memory:
        """Returns the guest's memory. Raises AbsentRecord where no frame of it has contents."""
        if not len(self.memory.index):
            raise AbsentRecord("holds no memory").about(self.name)
        return self.memory

    def vcpu(self, number: int) -> Vcpu:
        """Returns a vCPU: its registers, and its virtual memory. AbsentRecord for one not saved.

        >>> with open_image("examples/hvm1.img.zst") as image:
        ...     vcpu = image.vcpu(0)
        ...     hex(vcpu.registers.rip), vcpu.mode.name, vcpu.read(0xFFFF0, 1).hex()
        ('0xb7b9', 'no paging', 'ea')
        """
        from xensave.image.memory.vcpu import hvm_vcpu, pv_bodies, pv_vcpu

        if self.type != "pv":
            try:
                record = self.context["CPU", number]
            except AbsentRecord:
                raise self._no_vcpu(number) from None
            return hvm_vcpu(record, self.memory)
        if self._pv_bodies is None:
            self._pv_bodies = pv_bodies(self.tally.all(LIBXC, libxc.X86_PV_VCPU_BASIC))
        if number not in self._pv_bodies:
            raise self._no_vcpu(number)
        return pv_vcpu(self._pv_bodies[number], self.memory)

    def _no_vcpu(self, number: int) -> AbsentRecord:
        numbers = ", ".join(map(str, self.vcpu_numbers))
        there = f"; it has those of {numbers}" if numbers else ""
        return AbsentRecord(f"the image holds no registers of vCPU {number}{there}")

    @property
    def vcpu_numbers(self) -> tuple[int, ...]:
        """The numbers of the vCPUs whose registers were saved, in ascending order."""
        if self.type != "pv":
            records = self.context.all("CPU") if self.has_context else ()
            return tuple(sorted({record.instance for record in records}))
        return tuple(sorted(self.facts.vcpus_pv))

    @property
    def cpuid_policy(self) -> tuple[CpuidLeaf, ...]:
        """The CPUID leaves that the guest was given (v3 streams)."""
        return self._tallied.leaves or ()

    @property
    def msr_policy(self) -> dict[int, int]:
        """The MSRs of the guest's CPU policy: index to value (v3 streams)."""
        return {entry.msr: entry.value for entry in self._tallied.msrs or ()}

    @property
    def tsc_info(self) -> TscInfo | None:
        """How the time stamp counter was kept."""
        records = self.tally.all(LIBXC, libxc.X86_TSC_INFO)
        if not records:
            return None
        from xensave.container.streams.libxc_records import TscInfo

        with records[0].placed():
            return TscInfo.parse(records[0].body)

    @property
    def emulators(self) -> tuple[Emulator, ...]:
        """The device models: kind, stream version, xenstore keys and values."""
        if not self.tally.buffered:
            return ()
        if self._emulators is None:
            from xensave.image.facts.emulator import emulators

            self._emulators = emulators(self.tally)
        return self._emulators

    @property
    def details(self) -> tuple[tuple[str, str], ...]:
        """What the frame around the stream says of the guest: labels and texts."""
        if self.tally.description is None and not self.tally.buffered:
            return ()
        from xensave.image.facts.described import details_of

        return tuple(details_of(self.tally))


open_image = Image
