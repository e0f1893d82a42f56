"""Devices that a configuration names and libxl looks into before it attaches them.

Disks and networks are a matter of dom0 (`xensave.toolstack.scope`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM
from xensave.toolstack.libxl.configured import config_rule, domain_type
from xensave.toolstack.rule import Restore, Rule, Stage, Undecided

_PV_VERSIONS, _PV_PORTS = (1, 2), range(1, 32)
_EMULATED_PORTS = {1: 2, 2: 6}
"""uhci and ehci of QEMU's have so many ports."""
_XHCI, _XHCI_PORTS = 3, 15
_DEFAULT_VERSION = 2
_EMULATED = "devicemodel"
_BACKENDS_NAMED = ("vkbs", "usbctrls")
_DOM0 = ("0", "Domain-0")


@config_rule(
    id="LIBXL_USB_CONTROLLERS",
    stage=Stage.COMPLETION,
    says="a USB controller is of a version that its kind has, with as many ports",
    cite=Cite("libxl__device_usbctrl_setdefault"),
    since=("4.7",),
)
def usb_controllers(restore: Restore) -> str | None:
    """Refuses versions and numbers of ports; leaves what emulates or drives one to dom0."""
    for number, each in enumerate(_listed(restore, "usbctrls")):
        kind = each.get("type")
        kind = kind.lower() if isinstance(kind, str) else "auto"
        if kind == "auto" and domain_type(restore) == HVM:
            kind = _EMULATED
        version, ports = _number(each, "version") or _DEFAULT_VERSION, _number(each, "ports")
        if not (_emulated if kind == _EMULATED else _paravirtual)(version, ports):
            return f"USB controller {number} ({kind}) is of version {version} with {ports} ports"
        if kind == "pv":
            raise Undecided("whether dom0 has the driver usbback")
        if kind == _EMULATED and domain_type(restore) != HVM:
            raise Undecided("what becomes of an emulated USB controller without a device model")
    return None


def _paravirtual(version: int, ports: int) -> bool:
    return version in _PV_VERSIONS and (not ports or ports in _PV_PORTS)


def _emulated(version: int, ports: int) -> bool:
    if version == _XHCI:
        return ports <= _XHCI_PORTS
    return version in _EMULATED_PORTS and ports in (0, _EMULATED_PORTS[version])


@config_rule(
    id="LIBXL_USB_DEVICES",
    stage=Stage.COMPLETION,
    says="USB devices that are passed through are ones of the host",
    cite=Cite("libxl__device_usbdev_add"),
    since=("4.7",),
)
def usb_devices(restore: Restore) -> str | None:
    """Leaves USB devices to the host."""
    if any(True for _ in _listed(restore, "usbdevs")):
        raise Undecided("whether the host has the USB devices that are passed through")
    return None


@config_rule(
    id="LIBXL_BACKEND_DOMAINS",
    stage=Stage.COMPLETION,
    says="the domain that is a device's backend is there",
    cite=Cite("libxl__resolve_domid"),
)
def backend_domains(restore: Restore) -> str | None:
    """Leaves a backend that is named to the host; libxl ignores it of other kinds of devices."""
    for kind in _BACKENDS_NAMED:
        for each in _listed(restore, kind):
            name = each.get("backend_domname")
            if isinstance(name, str) and name not in _DOM0:
                raise Undecided(f"whether the host has a domain {name!r}, the backend of {kind}")
    return None


def _listed(restore: Restore, name: str) -> Iterator[Mapping[str, object]]:
    """Yields the members of each element of a list; what is no object counts as one without any."""
    listed = restore.config.get(name)
    for each in listed if isinstance(listed, list) else ():
        yield each if isinstance(each, Mapping) else {}


def _number(values: Mapping[str, object], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


RULES: tuple[Rule, ...] = (usb_controllers, usb_devices, backend_domains)
