"""Downstream records: handlers that a vendor's own package brings, by entry point or in Python."""

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from xensave.catalogue import MASTER
from xensave.catalogue.model import PER_VCPU, ZEROEXTEND, Binding, Layout, LoadMode, RecordKind
from xensave.engine.loop.body import Body
from xensave.engine.loop.handler import ANY, VCPU, Handler, Spec
from xensave.engine.loop.machine import Machine
from xensave.engine.loop.rule import HandlerRule, Refusal, Undecided
from xensave.errors import UsageError, XensaveError
from xensave.findings import ERROR

if TYPE_CHECKING:
    from xensave.numbers.claims import Claims

_LAST = 0xFFFF

GROUP = "xensave.handlers"


class Plugin(NamedTuple):
    """A record that a patched hypervisor has beside upstream's.

    `layout` says what its bytes mean; `kind` is PER_VCPU or PER_DOMAIN, `load` EXACT or
    ZEROEXTEND. `owner` is who claims the number: a range reserved for another is refused.
    `rules` are what its load or check handler requires; `checked` that the patched release
    checks it in the check pass. See docs/how-to/downstream.md for a worked example.
    """

    name: str
    typecode: int
    layout: Layout
    owner: str
    kind: RecordKind = PER_VCPU
    load: LoadMode = ZEROEXTEND
    device: str | None = None
    rules: tuple[HandlerRule[Body], ...] = ()
    checked: bool = False

    def handler(self) -> Handler:
        """Returns the handler, as a release's table holds it."""
        binding = Binding(
            self.name,
            self.typecode,
            self.layout.id,
            self.layout.size,
            self.kind,
            self.load,
            handler=f"{self.owner}'s handler of {self.name}",
            check=f"{self.owner}'s check of {self.name}" if self.checked else "",
        )
        spec = Spec(self.name, VCPU if self.kind == PER_VCPU else ANY, self.device)
        rules = tuple(rule._replace(test=_guarded(self, rule)) for rule in self.rules)
        return Handler(binding, spec, rules, device=True, layout=self.layout)


def _guarded(plugin: Plugin, rule: HandlerRule[Body]) -> Callable[[Body, Machine], str | None]:
    """Returns a vendor's test that names itself where it fails in a way of its own."""

    def test(body: Body, machine: Machine) -> str | None:
        try:
            return rule.test(body, machine)
        except (Refusal, Undecided, XensaveError):
            raise
        except Exception as error:  # a vendor's code may raise anything
            message = f"{type(error).__name__}: {error}"
            name = f"rule {rule.id} of {plugin.owner}'s {plugin.name}"
            raise UsageError(f"{name} fails: {message}") from error

    return test


def installed() -> tuple[Plugin, ...]:
    """Returns the plug-ins of the installed packages: entry points of the group xensave.handlers.

    An entry point names a Plugin, or a sequence of them. Raises UsageError for any other object,
    and for a package that cannot be imported.
    """
    if not _may_be_some():
        return ()
    from importlib.metadata import entry_points

    plugins: list[Plugin] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            loaded: object = point.load()
        except Exception as error:  # a vendor's package may raise anything
            message = f"{type(error).__name__}: {error}"
            raise UsageError(f"entry point {point.name!r} of {GROUP} fails: {message}") from error
        several = (
            loaded
            if isinstance(loaded, list | tuple) and not isinstance(loaded, Plugin)
            else [loaded]
        )
        for plugin in several:
            if not isinstance(plugin, Plugin):
                raise UsageError(f"entry point {point.name!r} of {GROUP} is no Plugin: {plugin!r}")
            plugins.append(plugin)
    return tuple(plugins)


def _may_be_some() -> bool:
    """Tells whether a package's entry points name the group; to load them all takes far longer."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - pathlib is slow
        except NotADirectoryError:
            return True
        except OSError:
            continue
        for name in names:
            if name.endswith(".egg"):
                return True
            if name.endswith((".dist-info", ".egg-info")):
                with suppress(OSError), open(f"{folder}/{name}/entry_points.txt", "rb") as file:
                    if GROUP.encode() in file.read():
                        return True
    return False


def check_clashes(target: str, plugins: Iterable[Plugin]) -> None:
    """Refuses plug-ins that claim what is another's, as `xensave clash` finds it.

    Each owner's plug-ins are a source, beside the target's own numbers, the reservations that
    upstream's headers state today, and the other owners. Raises UsageError with the clashes.
    """
    owners: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        if not 0 < plugin.typecode <= _LAST:
            raise UsageError(f"{plugin.name} of {plugin.owner}: typecodes are 1 - {_LAST}")
        if any(other.typecode == plugin.typecode for other in owners.get(plugin.owner, ())):
            raise UsageError(f"{plugin.owner} has two plug-ins for number {plugin.typecode}")
        owners.setdefault(plugin.owner, []).append(plugin)
    if not owners:
        return
    from xensave.numbers.claims import Claims
    from xensave.numbers.clash import find_clashes
    from xensave.numbers.sources import release_claims

    upstream = release_claims(target)
    today = release_claims(MASTER)
    claims = Claims(today.source, (), today.ranges)
    downstream = [_claims(owner, own) for owner, own in owners.items()]
    pairs = [(source, own) for own in downstream for source in (upstream, claims)]
    pairs += combinations(downstream, 2)
    clashes = [clash for pair in pairs for clash in find_clashes(pair) if clash.severity == ERROR]
    if clashes:
        lines = dict.fromkeys(f"{clash.message} [{clash.rule}]" for clash in clashes)
        raise UsageError("; ".join(lines))


def _claims(owner: str, plugins: list[Plugin]) -> "Claims":
    from xensave.numbers.claims import ClaimedRecord, Claims

    records = tuple(
        ClaimedRecord(
            plugin.typecode, plugin.name, plugin.layout.size, owner, plugin.layout, plugin.kind
        )
        for plugin in plugins
    )
    return Claims(f"{owner}'s plug-ins", records, ())
