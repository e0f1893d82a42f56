"""Devices that a configuration names, and ranges of the host's ports and memory.

libxl looks into them, and hands them over, in a restore too: domcreate_launch_dm() and
domcreate_attach_devices(). Disks and networks are a matter of dom0 (`xensave.toolstack.scope`).
"""

from __future__ import annotations

from collections.abc import Mapping

from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM, PV
from xensave.toolstack.libxl.configured import config_rule, domain_type
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage, Undecided

_PV_VERSIONS, _PV_PORTS = (1, 2), range(1, 32)
_EMULATED_PORTS = {1: 2, 2: 6}
"""uhci and ehci of QEMU's have so many ports."""
_XHCI, _XHCI_PORTS = 3, 15
_DEFAULT_VERSION = 2
_EMULATED = "devicemodel"
_BACKENDS_NAMED = ("vkbs", "usbctrls")
_DOM0 = ("0", "Domain-0")
_OWN_BACKENDS = ("vtpms", "vsnds", "vdispls")
_LEGACY_IRQS = range(16)

_PORTS = 1 << 16
_PORT_BITS, _FRAME_BITS = 32, 64
_HOST_FRAME_BITS = 40
"""No x86 CPU has more than 52 bits of physical addresses."""


@config_rule(
    id="LIBXL_USB_CONTROLLERS",
    stage=Stage.COMPLETION,
    says="a USB controller is of a version that its kind has, with as many ports",
    cite=Cite("libxl__device_usbctrl_setdefault"),
    since=("4.8",),
)
def usb_controllers(restore: Restore) -> str | None:
    """Refuses versions and numbers of ports; leaves what emulates or drives one to dom0."""
    for number, each in enumerate(restore.config.structs("usbctrls")):
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


@config_rule(
    id="LIBXL_USB_CONTROLLERS_DIFFER",
    stage=Stage.COMPLETION,
    says="each USB controller has a number of its own",
    cite=Cite("libxl__device_usbctrl_add_xenstore"),
    since=("4.7",),
)
def usb_numbers(restore: Restore) -> str | None:
    """Refuses two controllers of one number; -1 leaves it to libxl."""
    numbers = [_number(each, "devid", -1) for each in restore.config.structs("usbctrls")]
    twice = [number for number in numbers if number >= 0 and numbers.count(number) > 1]
    return f"two USB controllers have the number {twice[0]}" if twice else None


@config_rule(
    id="LIBXL_9PFS_DAEMON",
    stage=Stage.COMPLETION,
    says="dom0 has the daemon of the 9pfs devices that are its",
    cite=Cite(
        "xen9pfsd_spawn",
        "ab5a6b5986",
        "tools/libs/light: add backend type for 9pfs PV devices",
        "4.19",
    ),
    since=("4.19",),
)
def daemons_of_9pfs(restore: Restore) -> str | None:
    """Leaves the daemon to dom0: libxl starts it, and waits for it."""
    kinds = [str(each.get("type")).lower() for each in restore.config.structs("p9s")]
    if "xen_9pfsd" in kinds:
        raise Undecided("whether dom0 has the daemon xen-9pfsd")
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
    if any(True for _ in restore.config.structs("usbdevs")):
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
        for each in restore.config.structs(kind):
            name = each.get("backend_domname")
            if isinstance(name, str) and name not in _DOM0:
                raise Undecided(f"whether the host has a domain {name!r}, the backend of {kind}")
    return None


@config_rule(
    id="LIBXL_CHANNELS",
    says="a channel has a name, and where it leads to",
    cite=Cite("libxl__init_console_from_channel"),
)
def channels(restore: Restore) -> str | None:
    """Refuses a channel without a name, without a connection, or to a socket without a path."""
    for number, channel in enumerate(restore.config.structs("channels")):
        socket = channel.get("connection.socket")
        path = socket.get("path") if isinstance(socket, Mapping) else None
        if not isinstance(channel.get("name"), str):
            return f"channel {number} has no name"
        if "connection.pty" not in channel and not isinstance(path, str):
            return f"channel {number} leads nowhere"
    return None


@config_rule(
    id="LIBXL_BACKENDS",
    stage=Stage.COMPLETION,
    says="dom0 has a backend for each device, and the host the interrupts that a guest gets",
    cite=Cite("domcreate_attach_devices"),
)
def backends(restore: Restore) -> str | None:
    """Leaves devices of which the backend is a program of its own, and interrupts, to the host."""
    for kind in _OWN_BACKENDS:
        if restore.config.get(kind):
            raise Undecided(f"whether dom0 has the backend of {kind}")
    interrupts = restore.config.get("b_info", "irqs")
    for number in interrupts if isinstance(interrupts, list) else ():
        if isinstance(number, int) and number not in _LEGACY_IRQS:
            raise Undecided(f"whether the host has interrupt {number}")
    return None


@config_rule(
    id="LIBXL_IOPORTS",
    layer=Layer.XEN,
    stage=Stage.COMPLETION,
    says="ports that a guest gets are of the 65,536 that there are",
    cite=Cite("arch_do_domctl"),
    errno="EINVAL",
)
def ports(restore: Restore) -> str | None:
    """Refuses no ports, and ports that there are not; leaves others to what dom0 has."""
    for each in restore.config.structs("b_info", "ioports"):
        first, number = _number(each, "first"), _number(each, "number")
        end = (first + number) % (1 << _PORT_BITS)
        if end <= first or end > _PORTS:
            return f"{number} ports from {first:#x}"
        raise Undecided(f"whether dom0 has the ports {first:#x} - {end - 1:#x} to give")
    return None


@config_rule(
    id="LIBXL_IOMEM",
    layer=Layer.XEN,
    stage=Stage.COMPLETION,
    says="memory of the host that a guest gets is some, and lies where the host has addresses",
    cite=Cite("do_domctl"),
    errno="EINVAL",
)
def frames(restore: Restore) -> str | None:
    """Refuses no frames, and frames that no host has; leaves others to what dom0 has."""
    for each in restore.config.structs("b_info", "iomem"):
        start, number = _number(each, "start"), _number(each, "number")
        last = start + number - 1
        # For number 0 from 0 on Xen takes all that there is, of which dom0 has not all.
        wraps = last >> _FRAME_BITS or number == 0
        # Of a PV domain libxc does not ask for the mapping.
        if wraps or (last >> _HOST_FRAME_BITS and domain_type(restore) != PV):
            return f"{number} frames from {start:#x}"
        raise Undecided(f"whether dom0 has the frames {start:#x} - {last:#x} to give")
    return None


def _number(values: Mapping[str, object], name: str, absent: int = 0) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else absent


RULES: tuple[RestoreRule, ...] = (
    channels,
    backends,
    ports,
    frames,
    usb_controllers,
    usb_numbers,
    usb_devices,
    daemons_of_9pfs,
    backend_domains,
)
