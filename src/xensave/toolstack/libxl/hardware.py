"""What libxl refuses of an HVM guest's hardware: its device model, firmware, video and USB."""

from __future__ import annotations

from collections.abc import Mapping

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM
from xensave.toolstack.libxl.configured import CONFIG, config_rule
from xensave.toolstack.rule import Restore, RestoreRule, Stage, Undecided

TRADITIONAL = "qemu_xen_traditional"
_NO_TRADITIONAL = Cite(
    "libxl_device_model_version_from_string",
    "19ab8356ab",
    "tools: remove support for running a guest with qemu-traditional",
    "4.21",
)
_TRADITIONAL_IN_STUBS = Dated(
    "LIBXL_STUB_MODEL",
    CONFIG,
    "a domain for the device model runs qemu-traditional where none is named",
    _NO_TRADITIONAL,
    (),
    ("4.21",),
)
DATED = (_TRADITIONAL_IN_STUBS,)
# The least video memory in KiB by the kind of card, with QEMU's own device model.
VIDEO_KB = {"std": 16 * 1024, "cirrus": 8 * 1024, "qxl": 128 * 1024}
_VIDEO_KB_OLD = {"std": 8 * 1024}
_DEFAULT = (None, "unknown")
"""A member that is not there, or names no choice."""


def traditional(restore: Restore) -> bool:
    """Tells whether the device model is qemu-traditional: named, or a stub domain's default."""
    config = restore.config
    chosen = config.choice("b_info", "device_model_version")
    if chosen in _DEFAULT and _TRADITIONAL_IN_STUBS.holds(restore.target.version):
        return bool(config.flag("b_info", "device_model_stubdomain"))
    return chosen == TRADITIONAL


@config_rule(
    id="LIBXL_DEVICE_MODEL",
    says="the device model is one that the release has",
    cite=_NO_TRADITIONAL,
    since=("4.21",),
)
def device_model(restore: Restore) -> str | None:
    """Refuses qemu-xen-traditional, which is no more."""
    if traditional(restore):
        return f"libxl of Xen {restore.target.name} knows no device model {TRADITIONAL}"
    return None


@config_rule(
    id="LIBXL_DEVICE_MODEL_BUILT",
    stage=Stage.COMPLETION,
    says="qemu-traditional, and a domain for a device model, are options of the build",
    cite=Cite("libxl__spawn_local_dm"),
    types=(HVM,),
)
def built(restore: Restore) -> str | None:
    """Leaves a device model that many builds of the tools do not have to dom0."""
    if traditional(restore):
        raise Undecided(f"whether dom0 has the program of the device model {TRADITIONAL}")
    if restore.config.flag("b_info", "device_model_stubdomain"):
        raise Undecided("whether dom0 has the kernel of a domain for the device model")
    return None


@config_rule(
    id="LIBXL_VIDEO_MEMORY",
    says="a video card has the memory that QEMU wants for it",
    cite=Cite("libxl__domain_build_info_setdefault"),
    types=(HVM,),
)
def video(restore: Restore) -> str | None:
    """Refuses too little video memory for the card."""
    config = restore.config
    chosen = config.choice("b_info", "type.hvm", "vga", "kind")
    kind = "cirrus" if chosen in _DEFAULT else str(chosen)
    old = traditional(restore)
    if old and kind == "qxl":
        return f"card qxl with device model {TRADITIONAL}"
    size = config.get("b_info", "video_memkb")
    least = (_VIDEO_KB_OLD if old else VIDEO_KB).get(kind, 0)
    if isinstance(size, int) and 0 <= size < least:
        return f"{size} KiB of video memory, card {kind} takes {least} at least"
    return None


@config_rule(
    id="LIBXL_BIOS",
    says="ROMBIOS goes with qemu-xen-traditional, and with no other",
    cite=Cite("libxl__domain_build_info_setdefault"),
    types=(HVM,),
)
def bios(restore: Restore) -> str | None:
    """Refuses firmware that the device model does not load."""
    firmware = restore.config.choice("b_info", "type.hvm", "bios")
    old = traditional(restore)
    if firmware in _DEFAULT or (firmware == "rombios") == old:
        return None
    return f"firmware {firmware} with device model {TRADITIONAL if old else 'qemu_xen'}"


@config_rule(
    id="LIBXL_DIRECT_BOOT",
    says="a ramdisk or command line of an HVM guest goes with a kernel",
    cite=Cite("libxl__domain_build_info_setdefault"),
    types=(HVM,),
)
def direct_boot(restore: Restore) -> str | None:
    """Refuses direct boot without a kernel."""
    build = restore.config.get("b_info")
    if not isinstance(build, Mapping) or build.get("kernel"):
        return None
    names = [name for name in ("ramdisk", "cmdline") if build.get(name) is not None]
    return f"{names[0]} without a kernel" if names else None


@config_rule(
    id="LIBXL_USB",
    says="a USB version and the older USB settings exclude each other",
    cite=Cite("libxl__domain_build_info_setdefault"),
    types=(HVM,),
)
def usb(restore: Restore) -> str | None:
    """Refuses two ways of having USB at once."""
    config = restore.config
    hvm = config.get("b_info", "type.hvm")
    if not isinstance(hvm, Mapping):
        return None
    # An empty text is a device to libxl, and an empty list is none.
    devices = isinstance(hvm.get("usbdevice"), str) or hvm.get("usbdevice_list")
    older = config.flag("b_info", "type.hvm", "usb") or devices
    redirected = config.get("b_info", "type.hvm", "spice", "usbredirection")
    spice = config.flag("b_info", "type.hvm", "spice", "enable")
    newer = hvm.get("usbversion") or (spice and isinstance(redirected, int) and redirected > 0)
    if newer and older:
        return "usbversion or usbredirection together with usb or usbdevice"
    return None


RULES: tuple[RestoreRule, ...] = (
    device_model,
    built,
    video,
    bios,
    direct_boot,
    usb,
)
