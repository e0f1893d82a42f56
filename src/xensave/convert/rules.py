"""What to do with a downstream's records: keep, drop, or map them to upstream's.

From --map and --drop, or from a TOML file that the downstream keeps under version control:

    schema = 1

    [[record]]
    from = 22                 # the typecode in the image
    action = "map"            # or "keep", "drop"
    to = "VMCE_VCPU"          # a record of the target, by name or number
    layout = "caps:u64 bank0:u64 bank1:u64 owner:u64"
    fields = { mci_ctl2_bank0 = "bank0", mci_ctl2_bank1 = "bank1" }
    set = { mcg_ext_ctl = 0 } # constants
    ignore = ["owner"]        # state that may be lost
    reason = "our first form of the vMCE state"

Without `layout` the body is the target record's in any form that a release had. `from` is a record
of the HVM context, or one of a stream by layer and number, "libxc:0x13", which is kept, dropped, or
mapped whole to another number of that stream. `hook` names a Python function, "module:function",
that takes the ContextRecord and returns the new body or None to drop it; it is looked up beside the
rules file first.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from xensave import catalogue
from xensave.catalogue.model import Layout
from xensave.catalogue.toml_table import TomlTable, read
from xensave.container.events import LIBXC, LIBXL, LayerName
from xensave.container.streams import libxc, libxl
from xensave.context import ContextRecord
from xensave.convert.plan import DROP, MAP
from xensave.errors import UsageError
from xensave.records.overlay import overlay
from xensave.source.inputs import reading

SCHEMA = 1
RuleAction: TypeAlias = Literal["keep", "drop", "map"]
KEEP: Final = "keep"
ACTIONS: tuple[RuleAction, ...] = (KEEP, DROP, MAP)
STREAMS = {LIBXL: libxl.RECORDS, LIBXC: libxc.RECORDS}

RecordPlace: TypeAlias = tuple[LayerName | None, int]
"""A stream and the type of a record in it; no stream and a typecode of the HVM context."""

Hook = Callable[[ContextRecord], "bytes | None"]


class RecordRule(NamedTuple):
    """What to do with the records of one number; `to` is the record that they become (MAP).

    `layer` is LIBXL or LIBXC for a type of that stream, None for a typecode of the HVM context.
    `fields` renames the members of `layout` to the target's; `constants` sets the target's.
    """

    number: int
    action: RuleAction
    to: str | int | None = None
    layout: Layout | None = None
    fields: Mapping[str, str] = MappingProxyType({})
    constants: Mapping[str, int] = MappingProxyType({})
    ignore: frozenset[str] = frozenset()
    hook: Hook | None = None
    reason: str = ""
    layer: LayerName | None = None

    @property
    def place(self) -> RecordPlace:
        """The layer and number of the records that it is about."""
        return self.layer, self.number

    @property
    def record(self) -> str:
        """What it is about, for messages: "libxc:0x13", "typecode 22"."""
        return f"{self.layer}:{self.number:#x}" if self.layer else f"typecode {self.number}"


def parse_map(text: str) -> RecordRule:
    """Reads --map FROM=TO.

    Raises UsageError for text of another form.

    >>> rule = parse_map("22=VMCE_VCPU")
    >>> rule.number, rule.to
    (22, 'VMCE_VCPU')
    """
    left, equals, right = text.partition("=")
    if not equals or not right:
        raise UsageError(f"--map {text!r}: write it like 22=VMCE_VCPU")
    layer, number = record_of(left)
    if layer:
        reason = f"--map {text}"
        return RecordRule(number, MAP, _retyped(reason, left, right), reason=reason, layer=layer)
    to: str | int = int(right) if right.isdecimal() else right
    return RecordRule(number, MAP, to, reason=f"--map {text}")


def parse_drop(text: str) -> RecordRule:
    """Reads --drop TYPECODE, or --drop LAYER:NUMBER.

    >>> parse_drop("libxc:0x13").layer
    'libxc'
    """
    layer, number = record_of(text)
    return RecordRule(number, DROP, reason=f"--drop {text}", layer=layer)


def record_of(text: str | int) -> RecordPlace:
    """Returns the layer and number of a record: None for the HVM context's, unless it says so.

    Raises UsageError for a layer, name or number that there is not.

    >>> record_of("libxl:0x5"), record_of("libxc:TOOLSTACK"), record_of(22)
    (('libxl', 5), ('libxc', 11), (None, 22))
    """
    word, colon, name = str(text).partition(":")
    if not colon:
        return None, typecode_of(text)
    layer = LayerName(word)
    if layer not in STREAMS:
        raise UsageError(f"{text!r}: a layer is one of {', '.join(STREAMS)}, or none: HVM's")
    records = STREAMS[layer]
    named = {known: type_ for type_, known in records.items()}
    try:
        number = named[name] if name in named else int(name, 0)
    except ValueError:
        raise UsageError(f"{text!r}: {layer} has no record {name!r}; give its number") from None
    if not 0 < number < 1 << 32:
        raise UsageError(f"{text!r}: a stream's records are 1 to 0xffffffff (0 is END)")
    return layer, number


def _retyped(where: str, left: str, right: str) -> str:
    """Returns the record of the same stream that another becomes."""
    if record_of(left)[0] != record_of(right)[0]:
        raise UsageError(f"{where}: {left} becomes a record of its own stream")
    return right


def typecode_of(text: str | int) -> int:
    """Returns a typecode given by number or by a name that some release knows.

    Raises UsageError for a name that no release knows, and a number out of range.
    """
    if isinstance(text, str) and not text.isdecimal():
        try:
            return catalogue.typecode_of(text)
        except UsageError as error:
            raise error.reworded(f"no release has a record {text!r}; give its number") from error
    typecode = int(text)
    if not 1 < typecode < 1 << 16:
        raise UsageError(f"typecode {typecode}: numbers are 2 to 65535 (0 is END, 1 HEADER)")
    return typecode


def load_rules(path: str) -> tuple[RecordRule, ...]:
    """Reads a rules file. Raises UsageError, naming the entry and key, for what the schema forbids.

    Raises SourceError where there is no such file.
    """
    reading(path)
    table = TomlTable(read(path), path, kind=UsageError)
    if table.data.get("schema") != SCHEMA:
        raise table.error("schema", f"{table.data.get('schema')!r}, expected {SCHEMA}")
    table.allow(("schema", "record"))
    rules = tuple(_entry(entry) for entry in table.tables("record", required=False))
    counts = Counter(rule.place for rule in rules)
    for rule in rules:
        if counts[rule.place] > 1:
            raise UsageError(f"two entries for {rule.record}").about(path)
    return rules


_KEYS = ("from", "action", "to", "layout", "fields", "set", "ignore", "hook", "reason")


def _entry(table: TomlTable) -> RecordRule:
    table.allow(_KEYS)
    does: RuleAction | None = MAP if "to" in table.data or "hook" in table.data else None
    action = table.choice("action", ACTIONS, does)
    origin, to = table.name("from", required=True), table.name("to", required=action == MAP)
    try:
        layer, number = record_of(origin or 0)
    except UsageError as error:
        raise table.error("from", error.message) from error
    if layer:
        _whole(table)
    return RecordRule(
        number,
        action,
        to,
        _layout(table),
        table.mapping("fields", str),
        table.mapping("set", int),
        frozenset(table.texts("ignore")),
        _hook(table),
        table.text("reason") or f"{os.path.basename(table.source)} {table.path}",  # noqa: PTH119 - a label
        layer,
    )


def _whole(table: TomlTable) -> None:
    """Raises UsageError where a rule would take the body of a stream's record apart."""
    for key in ("layout", "fields", "set", "ignore", "hook"):
        if key in table.data:
            raise table.error(key, "for records of the HVM context only")
    if "to" in table.data:
        _retyped(f"{table.source}: {table.path}", str(table.data["from"]), str(table.data["to"]))


def _layout(table: TomlTable) -> Layout | None:
    spec = table.text("layout")
    try:
        return None if spec is None else overlay("downstream", spec)
    except ValueError as error:
        raise table.error("layout", str(error)) from error


def _hook(table: TomlTable) -> Hook | None:
    """Imports a hook; a rules file with hooks is code, and trusted as such."""
    name = table.text("hook")
    if name is None:
        return None
    module, _, function = name.partition(":")
    beside = os.path.dirname(os.path.abspath(table.source))  # noqa: PTH100, PTH120 - sys.path takes str
    sys.path.insert(0, beside)
    try:
        target = getattr(import_module(module), function)
    except Exception as error:  # whatever the module does as it is imported
        raise table.error("hook", f"{name!r}: {error or type(error).__name__}") from error
    finally:
        sys.path.remove(beside)
    if not callable(target):
        raise table.error("hook", f"{name!r} is no function")
    hook: Hook = target
    return hook
