"""Downstream records: handlers that a vendor's own package brings, by entry point or in Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xensave.catalogue.model import PER_VCPU, ZEROEXTEND, Binding, Layout, Release
from xensave.engine.handler import ANY, VCPU, Handler, Spec
from xensave.engine.model import Rule
from xensave.errors import UsageError

GROUP = "xensave.handlers"


class Plugin(NamedTuple):
    """A record that a patched hypervisor has beside upstream's.

    `layout` says what its bytes mean; `kind` is PER_VCPU or PER_DOMAIN, `load` EXACT or
    ZEROEXTEND. `owner` is who claims the number: a range reserved for another is refused.
    `rules` are what its load or check handler requires; `checked` that the patched release
    checks it in the check pass. See docs/downstream.md for a worked example.
    """

    name: str
    code: int
    layout: Layout
    owner: str
    kind: str = PER_VCPU
    load: str = ZEROEXTEND
    device: str | None = None
    rules: tuple[Rule, ...] = ()
    checked: bool = False

    def handler(self) -> Handler:
        """Return the handler, as a release's table holds it."""
        binding = Binding(
            self.name,
            self.code,
            self.layout.id,
            self.layout.size,
            self.kind,
            self.load,
            handler=f"{self.owner}'s handler of {self.name}",
        )
        spec = Spec(self.name, VCPU if self.kind == PER_VCPU else ANY, self.device)
        return Handler(
            binding, spec, self.rules, checks=self.checked, device=True, layout=self.layout
        )


def installed() -> tuple[Plugin, ...]:
    """Return the plug-ins of the installed packages: entry points of the group xensave.handlers.

    An entry point names a Plugin, or a sequence of them. Raises UsageError for any other object.
    """
    from importlib.metadata import entry_points

    found: list[Plugin] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        loaded: object = point.load()
        several = (
            loaded
            if isinstance(loaded, list | tuple) and not isinstance(loaded, Plugin)
            else [loaded]
        )
        for plugin in several:
            if not isinstance(plugin, Plugin):
                raise UsageError(f"entry point {point.name!r} of {GROUP} is no Plugin: {plugin!r}")
            found.append(plugin)
    return tuple(found)


def check_clashes(release: Release, plugins: Iterable[Plugin]) -> None:
    """Refuse plug-ins that claim what is another's. Raises UsageError that names each clash."""
    clashes = []
    taken: dict[int, str] = {
        binding.code: f"{binding.name} of Xen {release.name}" for binding in release.bindings
    }
    names = {binding.name: binding.code for binding in release.bindings}
    for plugin in plugins:
        claim = f"{plugin.code} {plugin.name} of {plugin.owner}"
        if plugin.code in taken:
            clashes.append(f"{claim} clashes with {plugin.code} {taken[plugin.code]}")
        if names.get(plugin.name, plugin.code) != plugin.code:
            clashes.append(f"{claim} clashes with {names[plugin.name]} of the same name")
        clashes += [
            f"{claim} lies in {kept.first} - {kept.last}, reserved for {kept.owner}"
            for kept in release.reservations
            if kept.first <= plugin.code <= kept.last and kept.owner.lower() != plugin.owner.lower()
        ]
        if not 0 < plugin.code <= 0xFFFF:
            clashes.append(f"{claim}: a typecode has 16 bits and is not 0")
        taken.setdefault(plugin.code, f"{plugin.name} of {plugin.owner}")
        names.setdefault(plugin.name, plugin.code)
    if clashes:
        raise UsageError("; ".join(clashes))
