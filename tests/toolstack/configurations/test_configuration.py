"""What libxl and Xen refuse of a configuration, by release.

The oracle is Xen's source: each case names the function that answers so.
"""

import io
import json

import pytest

from tests.toolstack.corpus import make, rebuilt, thin
from xensave.container.frames.config import parse_config
from xensave.image import open_image
from xensave.toolstack.restore import judge

PVH, HVM, PV = "x417-pvh1", "x417-hvm1", "x417-pv1"
YES, NO, DEPENDS = "restores", "refused", "depends"


def config(*path):
    *place, value = path
    return {"op": "config", "path": place, "value": value}


def param(index, value):
    return {"op": "param", "index": index, "value": value}


NO_MASK = config("b_info", "type.hvm", "viridian", "False")
NO_PARAM = {"op": "param_del", "index": 9}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Return what asks releases about a sample after edits: their answers, and the rules."""
    folder = tmp_path_factory.mktemp("configuration")

    def ask(base, edits, targets):
        path = folder / "image"
        path.write_bytes(edits if isinstance(edits, bytes) else rebuilt(thin(base), edits))
        with open_image(path) as image:
            verdicts = {target: judge(image.facts, target) for target in targets}
        result = {}
        for target, verdict in verdicts.items():
            word = {True: YES, False: NO, None: DEPENDS}[verdict.accepted]
            result[target] = f"{word} {verdict.rule}" if word == NO else word
        return result

    return ask


HARDWARE = ("b_info", "type.hvm")
SCHED = ("b_info", "sched_params")
CASES = {
    # libxl_tsc_mode_from_string() and its like compare names without regard to case.
    "tsc-mode-in-capitals": (PVH, [config("b_info", "tsc_mode", "Native_ParaVirt")],
        {"4.14.6": "refused LIBXL_TSC_MODE", "4.20.4": "refused LIBXL_TSC_MODE"}),
    "device-model-in-capitals": (HVM, [config("b_info", "device_model_version",
        "QEMU_XEN_TRADITIONAL")], {"4.20.4": DEPENDS, "4.21.0": "refused LIBXL_DEVICE_MODEL"}),
    "altp2m-off-in-capitals": (PVH, [config("b_info", "altp2m", "Disabled"),
        config("b_info", "target_memkb", 32764)], {"4.17.7": YES}),
    "domain-type-in-capitals": (PVH, [config("c_info", "type", "PVH")], {"4.17.7": YES}),
    # Of libxl__domain_rename():
    "name-of-dom0": (PVH, [config("c_info", "name", "Domain-0")],
        {"4.14.6": "refused LIBXL_NAME_FREE", "4.20.4": "refused LIBXL_NAME_FREE"}),
    "name-too-long": (PVH, [config("c_info", "name", "n" * 4096)],
        {"4.17.7": "refused LIBXL_NAME_FREE"}),
    # It writes "/vm/UUID/name" too, of 46 bytes.
    "name-longer": (PVH, [config("c_info", "name", "n" * 4051)],
        {"4.17.7": "refused LIBXL_NAME_FREE"}),
    "name-long": (PVH, [config("c_info", "name", "n" * 4050)], {"4.17.7": YES}),
    "name-with-a-nul": (PVH, [config("c_info", "name", "Domain-0\0more")],
        {"4.17.7": "refused LIBXL_NAME_FREE"}),
    # libxl__domain_make(), 4a3a25678d; 0 and what is above 0x7fef are no choice.
    "domid": (PVH, [config("c_info", "domid", 7)], {"4.14.6": DEPENDS, "4.20.4": DEPENDS}),
    "domid-of-none": (PVH, [config("c_info", "domid", 0x7FF4)], {"4.17.7": YES}),
    # libxl__domain_build_info_setdefault(): the bitmap has 128 bytes.
    "vcpu-map": (PVH, [config("b_info", "avail_vcpus", [0, 1024])],
        {"4.17.7": "refused LIBXL_VCPU_MAP"}),
    # libxl__bitmap_parse_json() takes the last number, and one, for an int.
    "vcpu-map-of-33-bits": (PVH, [config("b_info", "avail_vcpus", [0, 1 << 32])],
        {"4.17.7": DEPENDS}),
    "vcpu-map-of-most": (PVH, [config("b_info", "avail_vcpus", [0, 1023])], {"4.17.7": YES}),
    # Of libxl__build_pre(), vcpu_set_hard_affinity():
    "bound-to-cpu-0": (PVH, [config("b_info", "vcpu_hard_affinity", [[0, 99]])], {"4.17.7": YES}),
    "bound-to-cpu-99": (PVH, [config("b_info", "vcpu_hard_affinity", [[99]])],
        {"4.17.7": DEPENDS}),
    "bound-to-none": (PVH, [config("b_info", "vcpu_hard_affinity", [[]])],
        {"4.17.7": "refused LIBXL_AFFINITY"}),
    "bound-vcpu-that-is-not": (PVH, [config("b_info", "vcpu_soft_affinity", [[0], [0]])],
        {"4.17.7": "refused LIBXL_AFFINITY"}),
    # libxl__domain_build_info_setdefault() hands one out that its caller frees too.
    "affinity-of-old": (PVH, [config("b_info", "cpumap", [0])], {"4.17.7": DEPENDS}),
    # Of libxl_domain_sched_params_set(), sched_adjust():
    # From 162fc8295f on (4.12) domcreate_stream_done() takes whichever the host has.
    "scheduler-of-4.11": (PVH, [config(*SCHED, "sched", "credit")], {"4.17.7": YES}),
    "scheduler-unknown": (PVH, [config(*SCHED, "sched", "unknown")], {"4.17.7": YES}),
    "scheduler-without-settings": (PVH, [config(*SCHED, {"sched": "null", "weight": 0})],
        {"4.17.7": "refused LIBXL_SCHEDULER"}),
    "scheduler-of-old": (PVH, [config(*SCHED, "sched", "sedf")], {"4.17.7": YES}),
    "weight-0": (PVH, [config(*SCHED, "weight", 0)], {"4.17.7": "refused LIBXL_SCHEDULER"}),
    "weight-unset": (PVH, [config(*SCHED, "weight", -1)], {"4.17.7": YES}),
    "cap-of-two": (PVH, [config(*SCHED, "cap", 101)], {"4.17.7": "refused LIBXL_SCHEDULER"}),
    # Of grant_table_init():
    "no-grants": (PVH, [config("b_info", "max_grant_frames", 0)],
        {"4.14.6": "refused LIBXL_GRANT_FRAMES", "4.20.4": "refused LIBXL_GRANT_FRAMES"}),
    "many-grants": (PVH, [config("b_info", "max_grant_frames", 65)],
        {"4.17.7": DEPENDS, "4.18.0": YES}),
    "grants-by-default": (PVH, [config("b_info", "max_grant_frames", 0xFFFFFFFF)],
        {"4.17.7": YES}),
    # xzalloc_array() makes none of 2^29 pointers.
    "grants-of-an-array-too-long": (PVH, [config("b_info", "max_grant_frames", 1 << 29)],
        {"4.17.7": "refused LIBXL_GRANT_FRAMES_MOST",
         "4.18.0": "refused LIBXL_GRANT_FRAMES_HEAP"}),
    "grants-of-a-long-array": (PVH, [config("b_info", "max_grant_frames", (1 << 29) - 1)],
        {"4.17.7": DEPENDS, "4.20.4": DEPENDS}),
    # 9102fcd957 makes an array of what was memory of any size.
    "maptrack-of-an-array-too-long": (PVH, [config("b_info", "max_maptrack_frames", 1 << 29)],
        {"4.17.7": DEPENDS, "4.19.0": DEPENDS, "4.20.0": "refused LIBXL_GRANT_FRAMES_HEAP"}),
    # Of evtchn_allocate_port(), for libxl and for hvm_create_ioreq_server():
    "one-event-channel": (PVH, [config("b_info", "event_channels", 1)],
        {"4.14.6": "refused LIBXL_EVENT_CHANNELS", "4.17.7": "refused LIBXL_EVENT_CHANNELS"}),
    "two-event-channels": (PVH, [config("b_info", "event_channels", 2)], {"4.17.7": YES}),
    "three-event-channels-of-hvm": (HVM, [config("b_info", "event_channels", 3)],
        {"4.17.7": "refused LIBXL_EVENT_CHANNELS"}),
    "event-channels-by-default": (PVH, [config("b_info", "event_channels", 0)], {"4.17.7": YES}),
    # Of arch_set_paging_mempool_size():
    "part-of-a-page-for-paging": (PVH, [config("b_info", "shadow_memkb", 1025)],
        {"4.16.0": YES, "4.17.7": "refused LIBXL_PAGING_SIZE"}),
    "little-for-paging": (PVH, [config("b_info", "shadow_memkb", 4)], {"4.17.7": DEPENDS}),
    "paging-beyond-32-bits": (PVH, [config("b_info", "shadow_memkb", 1 << 34)],
        {"4.16.0": DEPENDS, "4.17.7": "refused LIBXL_PAGING_SIZE"}),
    "memory-of-65-bits": (PVH, [config("b_info", "max_memkb", 1 << 63)],
        {"4.17.7": "refused LIBXL_MEMORY_STATED"}),
    # libxl__json_map_get() passes over what is not of the JSON type that it is asked for.
    "grant-version-that-is-no-number": (PVH, [config("b_info", "max_grant_version", False)],
        {"4.17.7": YES}),
    "devices-that-are-no-list": (PVH, [config("pcidevs", {"dev": 1})], {"4.17.7": YES}),
    "command-line-that-is-no-text": (HVM, [config("b_info", "cmdline", 5)], {"4.17.7": YES}),
    "kernel-that-is-no-text": (HVM, [config("b_info", "kernel", 5),
        config("b_info", "cmdline", "x")], {"4.17.7": "refused LIBXL_DIRECT_BOOT"}),
    # libxl_C_type_parse_json(): an element of a list is parsed whatever its type is.
    "affinity-that-is-no-list": (PVH, [config("b_info", "vcpu_hard_affinity", [5])],
        {"4.17.7": "refused XL_CONFIG_VALUES"}),
    # Of domcreate_attach_devices() and domcreate_launch_dm():
    "tpm-of-a-guest": (PVH, [config("vtpms", [{"devid": 0}])], {"4.17.7": DEPENDS}),
    "interrupt-beyond-isa": (PVH, [config("b_info", "irqs", [5000])], {"4.17.7": DEPENDS}),
    "interrupt": (PVH, [config("b_info", "irqs", [5])], {"4.17.7": YES}),
    # Of libxl__device_usbctrl_setdefault():
    "usb-controller": (PVH, [config("usbctrls", [{"devid": 0}])], {"4.17.7": YES}),
    "usb-3-of-pv": (PVH, [config("usbctrls", [{"type": "QUSB", "version": 3}])],
        {"4.17.7": "refused LIBXL_USB_CONTROLLERS"}),
    "usb-with-32-ports": (PVH, [config("usbctrls", [{"ports": 32}])],
        {"4.17.7": "refused LIBXL_USB_CONTROLLERS"}),
    "usb-of-usbback": (PVH, [config("usbctrls", [{"type": "pv"}])], {"4.17.7": DEPENDS}),
    "usb-3": (HVM, [config("usbctrls", [{"version": 3, "ports": 15}])], {"4.17.7": YES}),
    "usb-2-with-5-ports": (HVM, [config("usbctrls", [{"version": 2, "ports": 5}])],
        {"4.17.7": "refused LIBXL_USB_CONTROLLERS"}),
    "usb-4": (HVM, [config("usbctrls", [{"version": 4}])],
        {"4.17.7": "refused LIBXL_USB_CONTROLLERS"}),
    # Of libxl__device_usbctrl_add_xenstore():
    "usb-controllers-of-one-number": (PVH, [config("usbctrls", [{"devid": 0}, {"devid": 0}])],
        {"4.17.7": "refused LIBXL_USB_CONTROLLERS_DIFFER"}),
    "usb-controllers-that-libxl-numbers": (PVH, [config("usbctrls", [{}, {"devid": -1}])],
        {"4.17.7": YES}),
    # Of xen9pfsd_spawn(); libxl__device_p9_add() loses what libxl__device_p9_setdefault() refuses.
    "daemon-of-9pfs": (PVH, [config("p9s", [{"type": "xen_9pfsd", "tag": "a", "path": "/tmp",
        "security_model": "none"}])], {"4.17.7": YES, "4.20.4": DEPENDS}),
    "9pfs-of-nothing": (PVH, [config("p9s", [{}])], {"4.17.7": YES, "4.20.4": YES}),
    # Of libxl__resolve_domid():
    "keyboard-of-a-domain": (PVH, [config("vkbs", [{"backend_domname": "driver"}])],
        {"4.17.7": DEPENDS}),
    "keyboard-of-dom0": (PVH, [config("vkbs", [{"backend_domname": "Domain-0"}])],
        {"4.17.7": YES}),
    # Of libxl__device_usbdev_add(): is_usbdev_assignable() looks below /sys.
    "usb-device": (PVH, [config("usbdevs", [{"type.hostdev": {"hostbus": 1}}])],
        {"4.17.7": DEPENDS}),
    # Of arch_do_domctl(), XEN_DOMCTL_ioport_permission:
    "no-ports": (PVH, [config("b_info", "ioports", [{}])], {"4.17.7": "refused LIBXL_IOPORTS"}),
    "ports-beyond-all": (PVH, [config("b_info", "ioports", [{"first": 0xFFF8, "number": 9}])],
        {"4.17.7": "refused LIBXL_IOPORTS"}),
    "ports-around-32-bits": (PVH, [config("b_info", "ioports",
        [{"first": 0xFFFFFFF0, "number": 0x20}])], {"4.17.7": "refused LIBXL_IOPORTS"}),
    "last-ports": (PVH, [config("b_info", "ioports", [{"first": 0xFFF8, "number": 8}])],
        {"4.17.7": DEPENDS}),
    # Of do_domctl(), XEN_DOMCTL_iomem_permission and XEN_DOMCTL_memory_mapping:
    "no-frames": (PVH, [config("b_info", "iomem", [{"start": 5}])],
        {"4.17.7": "refused LIBXL_IOMEM"}),
    "frames-of-no-host": (PVH, [config("b_info", "iomem", [{"start": 1 << 40, "number": 1}])],
        {"4.17.7": "refused LIBXL_IOMEM"}),
    # xc_domain_memory_mapping() has nothing to do for a PV domain.
    "frames-of-no-host-of-pv": (PV, [config("b_info", "iomem",
        [{"start": 1 << 40, "number": 1}])], {"4.17.7": DEPENDS}),
    "frames": (PVH, [config("b_info", "iomem", [{"start": 0xFFFFF0, "number": 1}])],
        {"4.17.7": DEPENDS}),
    # Of libxl__init_console_from_channel():
    "channel-without-name": (PVH, [config("channels", [{"devid": 0}])],
        {"4.17.7": "refused LIBXL_CHANNELS"}),
    "channel": (PVH, [config("channels", [{"name": "a", "connection.pty": {}}])],
        {"4.17.7": YES}),
    # Of libxl__build_device_model_args_new():
    "two-ways-of-usb-devices": (HVM, [config(*HARDWARE, "usbdevice", "tablet"),
        config(*HARDWARE, "usbdevice_list", ["tablet"])],
        {"4.17.7": "refused LIBXL_DM_ARGUMENTS"}),
    "usb-of-no-version": (HVM, [config(*HARDWARE, "usbversion", 9)],
        {"4.17.7": "refused LIBXL_DM_ARGUMENTS"}),
    "two-ways-of-serial": (HVM, [config(*HARDWARE, "serial_list", ["null"])],
        {"4.17.7": "refused LIBXL_DM_ARGUMENTS"}),
    "spice-without-port": (HVM, [config(*HARDWARE, "spice", {"enable": "True"})],
        {"4.17.7": "refused LIBXL_DM_ARGUMENTS"}),
    "spice": (HVM, [config(*HARDWARE, "spice", {"enable": "True", "port": 6000,
        "disable_ticketing": "True"})], {"4.17.7": YES}),
    "sound-card-unknown": (HVM, [config(*HARDWARE, "soundhw", "bogus")],
        {"4.16.2": DEPENDS, "4.17.7": "refused LIBXL_DM_ARGUMENTS"}),
    "kernel-of-hvm": (HVM, [config("b_info", "kernel", "/nowhere")], {"4.17.7": DEPENDS}),
    "display-of-hvm": (HVM, [config(*HARDWARE, "sdl", {"enable": "True"})],
        {"4.17.7": DEPENDS}),
    # Of QEMU's vnc_display_listen_init():
    "framebuffer-beyond-ports": (PVH, [config("vfbs", [{"vnc": {"display": 70000}}])],
        {"4.17.7": DEPENDS}),
    "framebuffer": (PVH, [config("vfbs", [{"vnc": {"display": 1}}])], {"4.17.7": YES}),
    "framebuffer-of-sdl": (PV, [config("vfbs", [{"sdl": {"enable": "True"}}])],
        {"4.17.7": DEPENDS}),
    "user-of-the-device-model": (HVM, [config("b_info", "dm_restrict", "True")],
        {"4.17.7": DEPENDS}),
    # libxl__uint64_parse_json() gives up, and xl goes on with what there is.
    "machine-checks-below-0": (HVM, [config(*HARDWARE, "mca_caps", -1)], {"4.17.7": YES}),
    # Of libxl__domain_config_setdefault():
    "vnuma-of-pv": (PV, [config("b_info", "vnuma_nodes", [{"memkb": 65536}])],
        {"4.17.7": "refused LIBXL_VNUMA"}),
    "vnuma-on-demand": (PVH, [config("b_info", "vnuma_nodes", [{"memkb": 32768}]),
        config("b_info", "target_memkb", 32764)], {"4.17.7": "refused LIBXL_VNUMA"}),
    "pvh-with-devices": (PVH, [config("c_info", "passthrough", "enabled")],
        {"4.17.7": "refused LIBXL_PASSTHROUGH_PVH"}),
    "devices-without-passthrough": (HVM, [config("pcidevs", [{"dev": 1}]),
        config("c_info", "passthrough", "disabled")],
        {"4.17.7": "refused LIBXL_PASSTHROUGH_DISABLED"}),
    "passthrough-on-demand": (HVM, [config("c_info", "passthrough", "sync_pt"),
        config("b_info", "target_memkb", 16380)],
        {"4.16.0": DEPENDS, "4.16.1": "refused LIBXL_PASSTHROUGH_POD"}),
    # Of arch_sanitise_domain_config():
    "nested-without-hap": (PVH, [config("b_info", "nested_hvm", "True"),
        config("c_info", "hap", "False")],
        {"4.14.6": "refused LIBXL_PARAMS", "4.17.7": "refused LIBXL_NESTED_HAP"}),
    # Of libxl__domain_build_info_setdefault():
    "usb-redirected": (HVM, [config("b_info", "type.hvm", "spice", {"enable": "True",
        "usbredirection": 1}), config("b_info", "type.hvm", "usb", "True")],
        {"4.17.7": "refused LIBXL_USB"}),
    # libxl__string_list_parse_json() makes none of an empty list.
    "usb-devices-none": (HVM, [config("b_info", "type.hvm", "usbversion", 2),
        config("b_info", "type.hvm", "usbdevice_list", [])], {"4.17.7": YES}),
    "usb-devices": (HVM, [config("b_info", "type.hvm", "usbversion", 2),
        config("b_info", "type.hvm", "usbdevice_list", ["tablet"])],
        {"4.17.7": "refused LIBXL_USB"}),
    # Until 19ab8356ab the default device model in a stub domain is that of old.
    "rombios-in-a-stub-domain": (HVM, [config("b_info", "device_model_version", "unknown"),
        config("b_info", "device_model_stubdomain", "True"),
        config("b_info", "type.hvm", "bios", "rombios")],
        {"4.20.4": DEPENDS, "4.21.0": "refused LIBXL_BIOS"}),
    "qxl-of-old": (HVM, [config("b_info", "device_model_version", "qemu_xen_traditional"),
        config("b_info", "type.hvm", "vga", {"kind": "qxl"})],
        {"4.17.7": "refused LIBXL_VIDEO_MEMORY"}),
    "bios-unknown-of-old": (HVM, [config("b_info", "device_model_version",
        "qemu_xen_traditional"), config("b_info", "type.hvm", "bios", "unknown")],
        {"4.17.7": DEPENDS}),
    # hvm_set_viridian_features(), in a restore too until 25ee478662
    "viridian-on-and-off": (HVM, [config("b_info", "type.hvm", "viridian_enable", [6]),
        config("b_info", "type.hvm", "viridian_disable", [6]), param(9, 0x25)],
        {"4.14.6": "refused LIBXL_VIRIDIAN", "4.15.7": YES}),
    "viridian-without-base": (HVM, [NO_MASK, NO_PARAM,
        config("b_info", "type.hvm", "viridian_enable", [6])],
        {"4.14.6": "refused LIBXL_VIRIDIAN", "4.15.7": YES}),
    # hvm_set_conf_params() sets params, which hvm_allow_set_param() lets be set once.
    "altp2m-of-another-mode": (PVH, [config("b_info", "altp2m", "external"), param(35, 1)],
        {"4.14.6": "refused PARAM_ONCE", "4.18.6": "refused PARAM_ONCE",
         "4.19.0": "refused PARAM_ALTP2M_READ_ONLY"}),
    "altp2m-of-the-same-mode": (PVH, [config("b_info", "altp2m", "external"), param(35, 2)],
        {"4.14.6": YES, "4.18.6": YES}),
    "machine-checks-of-amd": (HVM, [config("b_info", "type.hvm", "mca_caps", 1)],
        {"4.17.7": "refused LIBXL_PARAMS"}),
    # hvm_set_param(): NESTEDHVM and ALTP2M exclude each other as they are set.
    "nested-then-altp2m": (PVH, [param(24, 1), param(35, 1)],
        {"4.14.6": "refused PARAM_ALTP2M_NESTED", "4.15.7": "refused PARAM_OBSOLETE"}),
    "altp2m-then-nested": (PVH, [param(35, 1), param(24, 1)],
        {"4.14.6": "refused PARAM_ALTP2M_NESTED"}),
    # handle_hvm_params() looks for PAE_ENABLED by 64 bits of the index, Xen takes 32.
    "pae-by-64-bits": (PVH, [param(0x100000004, 1)], {"4.17.7": "refused PARAM_OBSOLETE"}),
    "pae-by-32-bits": (PVH, [param(4, 1)], {"4.17.7": YES}),
    "altp2m-of-pvh": (PVH, [config("b_info", "altp2m", "external")],
        {"4.20.4": YES, "4.21.0": "refused LIBXL_ALTP2M_VIEWS"}),
    "views-without-altp2m": (PVH, [config("b_info", "altp2m_count", 3)],
        {"4.20.4": YES, "4.21.0": "refused LIBXL_ALTP2M_VIEWS"}),
    "views-by-default": (HVM, [config("b_info", "altp2m_count", 0xFFFFFFFF)], {"4.21.0": YES}),
    "traps-of-arm": (PVH, [config("b_info", "trap_unmapped_accesses", "True")],
        {"4.20.4": YES, "4.21.0": "refused LIBXL_TRAP_UNMAPPED"}),
    "colours-of-arm": (PVH, [config("b_info", "llc_colors", [1])],
        {"4.19.6": YES, "4.20.0": "refused LIBXL_LLC_COLORS"}),
    # libxl__json_map_get() takes the first of two members of a name.
    "first-of-two": (PVH, [{"op": "config_replace", "old": '"name": "pvh1"',
        "new": '"name": "pvh1", "name": "Domain-0"'}], {"4.17.7": YES}),
    # json_callback_number(): what has more than 64 bits is no integer, and counts as absent.
    "integer-of-65-bits": (PVH, [config("b_info", "max_vcpus", 1 << 64)], {"4.17.7": YES}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_the_source_says(name, answers):
    base, edits, wanted = CASES[name]
    assert answers(base, edits, tuple(wanted)) == wanted


def test_the_port_of_the_pm_timer_was_cut_to_32_bits(answers):
    """pmtimer_change_ioport() took an unsigned int until 4be325e5d4."""
    edits = [param(19, 1 << 32 | 1), NO_PARAM, NO_MASK]
    refused = answers(HVM, edits, ("4.14.6",))
    assert refused == {"4.14.6": "refused PARAM_ACPI_IOPORTS"}
    version = {"op": "ihdr", "at": 12, "hex": "00000002"}
    older = [*edits, version, *({"op": "drop", "rec": n} for n in (0x10, 0x11, 0x12))]
    # The context of 4.17 is too new; the params come first.
    assert answers(HVM, older, ("4.13.5",)) == {"4.13.5": "refused ENTRY_LENGTH"}


def test_emulators_of_pv_guests_until_4_10(answers):
    """process_record() asked for the device model's version only, until ef284a9693."""
    state = {"op": "insert", "layer": "libxl", "type": 3, "before": 0, "hex": "02" + "00" * 7}
    wanted = {"4.17.7": "refused LIBXL_EMULATOR_HVM_ONLY"}
    assert answers(PV, [state], tuple(wanted)) == wanted
    version = {"op": "ihdr", "at": 12, "hex": "00000002"}
    older = [state, version, *({"op": "drop", "rec": n} for n in (0x10, 0x11, 0x12))]
    found = answers(PV, older, ("4.9.4", "4.10.0"))
    assert found["4.10.0"] == "refused LIBXL_EMULATOR_HVM_ONLY"
    assert "LIBXL_EMULATOR_HVM_ONLY" not in found["4.9.4"]


def test_a_vcpu_that_the_configuration_does_not_give(answers):
    """A second vCPU's record is refused where max_vcpus is absent: libxl makes one."""
    edits = [{"op": "config_del", "path": ["b_info", "max_vcpus"]}]
    assert answers(PVH, edits, ("4.17.7",)) == {"4.17.7": YES}


def test_numbers_of_a_configuration():
    text = json.dumps({"a": 1 << 63, "b": (1 << 63) - 1, "c": -(1 << 63)})
    optional = io.BytesIO()
    optional.write(len(text).to_bytes(4, "little") + text.encode())
    values = parse_config(optional.getvalue()).values
    assert isinstance(values["a"], float)
    assert (values["b"], values["c"]) == ((1 << 63) - 1, -(1 << 63))


TEXTS = {
    # libxl__json_parse() hands over strlen() bytes.
    "nul-ends-it": (lambda text: text + b"\0more", {"4.14.6": YES, "4.20.4": YES}),
    # 544c15c827 set yajl_allow_trailing_garbage.
    "more-behind": (lambda text: text + b" more", {"4.17.7": YES}),
    # yajl looks at the number of bytes only; json-c, from 4.21 on, at nothing.
    "no-utf-8": (lambda text: text.replace(b"pvh1", b"p\xff1"),
        {"4.20.4": "refused XL_CONFIG_UNREADABLE", "4.21.0": DEPENDS}),
    "overlong-utf-8": (lambda text: text.replace(b"pvh1", b"p\xc0\xaf1"), {"4.20.4": YES}),
    "no-number": (lambda text: text.replace(b'"max_vcpus": 1', b'"max_vcpus": NaN'),
        {"4.20.4": "refused XL_CONFIG_UNREADABLE", "4.21.0": DEPENDS}),
    "form-feed": (lambda text: b"\f" + text, {"4.20.4": YES}),
    "nested-deep": (lambda text: text.replace(b'"max_vcpus": 1',
        b'"max_vcpus": 1, "x": ' + b"[" * 5000 + b"]" * 5000), {"4.20.4": DEPENDS}),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_it_reads_json_as_libxl_does(name, answers):
    change, wanted = TEXTS[name]
    text = change(json.dumps(config_of(PVH)).encode())
    image = make.Image(thin(PVH))
    image.optional = len(text).to_bytes(4, "little") + text + b"\0"
    out = io.BytesIO()
    image.write(out)
    assert answers(PVH, out.getvalue(), tuple(wanted)) == wanted


def config_of(base):
    with open_image(io.BytesIO(rebuilt(thin(base), []))) as image:
        return image.facts.config.values


def test_an_empty_context_before_another(answers):
    """handle_hvm_context() took one of no bytes until 59e1f6d897; the last one counts."""
    empty = {"op": "insert", "type": 9, "before": 9, "hex": ""}
    wanted = {"4.14.6": "refused LIBXC_HVM_CONTEXT_NOT_EMPTY"}
    assert answers(PVH, [empty], tuple(wanted)) == wanted
    version = {"op": "ihdr", "at": 12, "hex": "00000002"}
    older = [empty, version, *({"op": "drop", "rec": n} for n in (0x10, 0x11, 0x12))]
    assert "LIBXC_HVM_CONTEXT_NOT_EMPTY" not in answers(PVH, older, ("4.13.5",))["4.13.5"]
