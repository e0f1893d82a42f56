"""What libxl refuses as it writes the command line of an HVM guest's device model.

It does so in a restore too, with QEMU's own device model: the older one has a command line that
`xensave.toolstack.libxl.hardware` leaves to dom0.
Source: libxl__build_device_model_args_new() and dm_spice_options() in libxl_dm.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM
from xensave.toolstack.libxl.configured import CONFIG, config_rule, domain_type
from xensave.toolstack.libxl.hardware import traditional
from xensave.toolstack.rule import Restore, RestoreRule, Stage, Undecided

_USB_VERSIONS = (1, 2, 3)
_USB_REDIRECTIONS = range(5)
_USB_DEVICES = ("tablet", "mouse", "keyboard")
_SOUND_CARDS = ("ac97", "adlib", "cs4231a", "es1370", "gus", "hda", "sb16")
_SOUND_CARDS_NAMED = Dated(
    "LIBXL_SOUND_CARDS",
    CONFIG,
    "sound cards are of those that libxl names; before, QEMU was told any",
    Cite(
        "libxl__build_device_model_args_new",
        "62ca138c2c",
        "tools/libxl: Replace deprecated -soundhw on QEMU command line",
        "4.17",
    ),
    ("4.15.4", "4.16.3", "4.17"),
)
DATED = (_SOUND_CARDS_NAMED,)
_DRIVES = set("acdn")
_HVM = ("b_info", "type.hvm")
_LAST_DISPLAY = 65535 - 5900
_CHARACTER_DEVICES = ("pty", "null", "none", "vc", "stdio")


def _writes_command_line(restore: Restore) -> bool:
    stub = restore.config.flag("b_info", "device_model_stubdomain")
    return not stub and not traditional(restore)


@config_rule(
    id="LIBXL_DM_ARGUMENTS",
    stage=Stage.COMPLETION,
    says="an HVM guest's configuration is one that libxl makes a device model's arguments of",
    cite=Cite("libxl__build_device_model_args_new"),
    types=(HVM,),
)
def arguments(restore: Restore) -> str | None:
    """Refuses settings of the device model that exclude each other, or that libxl does not know."""
    if not _writes_command_line(restore):
        return None
    return next((wrong for check in _CHECKS for wrong in check(restore)), None)


def _vnc(restore: Restore) -> Iterator[str]:
    config = restore.config
    listen = config.get(*_HVM, "vnc", "listen")
    display = config.integer(*_HVM, "vnc", "display")
    on = config.flag(*_HVM, "vnc", "enable") is not False
    if on and isinstance(listen, str) and ":" in listen and display:
        yield f"VNC's display is {display} and in {listen!r}"


def _serial(restore: Restore) -> Iterator[str]:
    config = restore.config
    if isinstance(config.get(*_HVM, "serial"), str) and config.get(*_HVM, "serial_list"):
        yield "both serial and serial_list"


def _spice(restore: Restore) -> Iterator[str]:
    config = restore.config
    spice = (*_HVM, "spice")
    if not config.flag(*spice, "enable"):
        return
    if not config.integer(*spice, "port") and not config.integer(*spice, "tls_port"):
        yield "SPICE has neither port nor tls_port"
    if not config.flag(*spice, "disable_ticketing") and not config.get(*spice, "passwd"):
        yield "SPICE has tickets but no password"


def _usb(restore: Restore) -> Iterator[str]:
    config = restore.config
    device = isinstance(config.get(*_HVM, "usbdevice"), str)
    devices = config.get(*_HVM, "usbdevice_list")
    if device and devices:
        yield "both usbdevice and usbdevice_list"
    if device or devices or config.flag(*_HVM, "usb"):
        return
    usb = config.integer(*_HVM, "usbversion")
    redirected = config.integer(*_HVM, "spice", "usbredirection") or 0
    if usb and usb not in _USB_VERSIONS:
        yield f"usbversion is {usb}"
    asked = usb or (config.flag(*_HVM, "spice", "enable") and redirected > 0)
    if asked and redirected not in _USB_REDIRECTIONS:
        yield f"usbredirection is {redirected}"


def _sound(restore: Restore) -> Iterator[str]:
    card = restore.config.choice(*_HVM, "soundhw")
    named = _SOUND_CARDS_NAMED.holds(restore.target.version)
    if named and isinstance(card, str) and card not in _SOUND_CARDS:
        yield f"libxl knows no sound card {card}"


_CHECKS = (_vnc, _serial, _spice, _usb, _sound)


@config_rule(
    id="LIBXL_DM_HOST",
    stage=Stage.COMPLETION,
    says="dom0 has what a guest's device model opens as it starts",
    cite=Cite("libxl__spawn_local_dm"),
)
def host(restore: Restore) -> str | None:
    """Leaves files, users, displays and devices of the device model to dom0."""
    opened = list(_framebuffers(restore))
    if domain_type(restore) == HVM and _writes_command_line(restore):
        opened += [*_asked_of_dom0(restore), *_devices(restore)]
        opened += _displays(restore.config.get(*_HVM))
    if opened:
        raise Undecided(f"whether dom0 has what the device model opens: {opened[0]}")
    return None


def _framebuffers(restore: Restore) -> Iterator[str]:
    """Yields what paravirtual framebuffers are shown on; QEMU shows them for any type of guest."""
    for each in restore.config.structs("vfbs"):
        yield from _displays(each)
        sdl = each.get("sdl")
        if isinstance(sdl, Mapping) and sdl.get("enable") == "True":
            yield "a display for SDL"


def _displays(values: object) -> Iterator[str]:
    """Yields a display of VNC's for which there is no port."""
    vnc = values.get("vnc") if isinstance(values, Mapping) else None
    number = vnc.get("display") if isinstance(vnc, Mapping) else None
    if isinstance(number, int) and number > _LAST_DISPLAY:
        yield f"VNC display {number}"


def _asked_of_dom0(restore: Restore) -> Iterator[str]:
    config = restore.config
    if config.flag("b_info", "dm_restrict"):
        yield "a user for dm_restrict"
    for name in ("device_model", "kernel", "device_model_user"):
        path = config.get("b_info", name)
        if isinstance(path, str) and path:
            yield f"{name} {path}"
    if config.flag(*_HVM, "sdl", "enable"):
        yield "a display for SDL"
    if config.flag(*_HVM, "gfx_passthru"):
        yield "the graphics card that is passed through"
    order = config.get(*_HVM, "boot")
    if isinstance(order, str) and not set(order) <= _DRIVES:
        yield f"drives {order}"


def _devices(restore: Restore) -> Iterator[str]:
    config = restore.config
    for device in _texts(config.get(*_HVM, "serial"), config.get(*_HVM, "serial_list")):
        if device not in _CHARACTER_DEVICES and not device.startswith("file:"):
            yield f"serial device {device}"
    for device in _texts(config.get(*_HVM, "usbdevice"), config.get(*_HVM, "usbdevice_list")):
        if device not in _USB_DEVICES:
            yield f"USB device {device}"
    card = config.get(*_HVM, "soundhw")
    if isinstance(card, str) and not _SOUND_CARDS_NAMED.holds(restore.target.version):
        yield f"sound card {card}"


def _texts(single: object, several: object) -> Iterator[str]:
    values = [single, *several] if isinstance(several, list) else [single]
    yield from (value for value in values if isinstance(value, str))


RULES: tuple[RestoreRule, ...] = (arguments, host)
