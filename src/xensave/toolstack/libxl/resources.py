"""What a configuration asks of the host: a name, a number, CPUs, a scheduler, grant tables."""

from __future__ import annotations

from collections.abc import Iterator

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.model import Cite
from xensave.image.facts.guest import HVM
from xensave.toolstack.libxl.configured import CONFIG, config_rule, domain_type
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage, Undecided

_DOM0_NAME = "Domain-0"
_PAYLOAD = 4096
_NAME_PATH = len("/vm/00000000-0000-0000-0000-000000000000/name") + 1
"""XenStore takes a path and a value of 4096 bytes together (XENSTORE_PAYLOAD_MAX)."""

_GUEST_DOMIDS = range(1, 0x7FF0)
_VCPU_BITS = 128 * 8
_INT = (1 << 31) - 1
_HARD = "vcpu_hard_affinity"

_CREDIT2_DEFAULT = Dated(
    "LIBXL_CREDIT2_DEFAULT",
    CONFIG,
    "the scheduler is credit2 where nothing is said",
    Cite("sched_init", "ec6662445b", "Make credit2 the default scheduler", "4.12"),
    ("4.12",),
)
ANY_SCHEDULER = Dated(
    "LIBXL_ANY_SCHEDULER",
    CONFIG,
    "a restore takes the host's scheduler, and of the settings what that one has",
    Cite(
        "domcreate_stream_done",
        "162fc8295f",
        "libxl: Restore scheduling parameters after migrate in best-effort fashion",
        "4.12",
    ),
    ("4.12",),
)
WEIGHTED = ("credit", "credit2")
"""Schedulers that are some release's default; both have a weight and a cap."""
_WITHOUT_SETTINGS = ("null", "arinc653")
_CREDIT2_CAPPED = Dated(
    "LIBXL_CREDIT2_CAPPED",
    CONFIG,
    "a cap is a setting of credit2 too",
    Cite(
        "sched_credit2_domain_set",
        "839cbe6628",
        "libxl/xl: allow to get and set cap on Credit2.",
        "4.10",
    ),
    ("4.10",),
)
_WEIGHTS = range(1, 1 << 16)
_UNSET = -1

_ALL_ONES = 0xFFFFFFFF
_MOST_FRAMES = {"max_grant_frames": 64, "max_maptrack_frames": 1024}
"""What Xen gives a domain at most, unless gnttab_max_frames or gnttab_max_maptrack_frames say."""
_SIGNED_FRAMES = Dated(
    "LIBXL_FRAMES_SIGNED",
    CONFIG,
    "a number of grant frames is signed, and a negative one stands for the default",
    Cite(
        "grant_table_init",
        "7a0e35f823",
        "Rationalize max_grant_frames and max_maptrack_frames handling",
        "4.13",
    ),
    ("4.12.2", "4.13"),
)
_MOST_POINTERS = _ALL_ONES // 8
"""An array of more pointers overflows in xzalloc_array(), and Xen has none of it."""
_ANY_HEAP = {"max_grant_frames": 1 << 16, "max_maptrack_frames": 1 << 20}
"""With so many the arrays take a few MiB of Xen's heap."""
_MAPTRACK_ARRAY = Dated(
    "LIBXL_MAPTRACK_ARRAY",
    CONFIG,
    "the frames of mappings are an array of a size that may overflow",
    Cite(
        "grant_table_init",
        "9102fcd957",
        "mm: introduce xvmalloc() et al and use for grant table allocations",
        "4.20",
    ),
    ("4.20",),
)

_FIRST_CHANNELS = 2
"""Those to XenStore and to the console."""
_CHANNELS_AT_CREATION = Dated(
    "LIBXL_CHANNELS_CREATED",
    CONFIG,
    "the limit of event channels holds from the creation on; before, libxl set it when it had its"
    " own",
    Cite(
        "domain_create", "4a83497635", "xen/domctl: Merge set_max_evtchn into createdomain", "4.12"
    ),
    ("4.12",),
)
DATED = (
    ANY_SCHEDULER,
    _CREDIT2_DEFAULT,
    _CREDIT2_CAPPED,
    _SIGNED_FRAMES,
    _MAPTRACK_ARRAY,
    _CHANNELS_AT_CREATION,
)


@config_rule(
    id="LIBXL_NAME_FREE",
    says="no other domain has the name, and XenStore takes it",
    cite=Cite("libxl__domain_rename"),
)
def name(restore: Restore) -> str | None:
    """Refuses the name of dom0, and one that does not fit into a request to XenStore."""
    wanted = restore.config.get("c_info", "name")
    if not isinstance(wanted, str):
        return None
    # To libxl it is a string of C.
    wanted = wanted.partition("\0")[0]
    if wanted == _DOM0_NAME:
        return f"dom0 is called {wanted}"
    length = len(wanted.encode("utf-8", "surrogatepass"))
    if length > _PAYLOAD - _NAME_PATH:
        return f"the name has {length} bytes, XenStore takes {_PAYLOAD} with its path"
    return None


@config_rule(
    id="LIBXL_DOMID",
    layer=Layer.XEN,
    says="the number that a domain is to have is free",
    cite=Cite(
        "libxl__domain_make",
        "4a3a25678d",
        "libxl: allow creation of domains with a specified or random domid",
        "4.14",
    ),
    since=("4.14",),
)
def domid(restore: Restore) -> str | None:
    """Leaves a domain's number to the host."""
    number = restore.config.integer("c_info", "domid")
    # What is no integer is looked for in a range number by number.
    if number is not None and number in _GUEST_DOMIDS:
        raise Undecided(f"whether domain id {number} is free on the host")
    return None


@config_rule(
    id="LIBXL_VCPU_MAP",
    says="the map of vCPUs that are online has at most 1024 bits",
    cite=Cite("libxl__domain_build_info_setdefault"),
)
def vcpu_map(restore: Restore) -> str | None:
    """Refuses a map that is too long: its last number says how long."""
    online = restore.config.get("b_info", "avail_vcpus")
    last = online[-1] if isinstance(online, list) and online else None
    if isinstance(last, int) and last > _INT:
        raise Undecided(f"what libxl makes of {last}, of which it takes 32 bits (avail_vcpus)")
    if isinstance(last, int) and last >= _VCPU_BITS:
        return f"avail_vcpus reaches to {last}, at most {_VCPU_BITS - 1}"
    return None


def _affinities(restore: Restore, name: str) -> Iterator[tuple[int, list[object]]]:
    maps = restore.config.get("b_info", name)
    for vcpu, cpus in enumerate(maps if isinstance(maps, list) else ()):
        if isinstance(cpus, list):
            yield vcpu, cpus


@config_rule(
    id="LIBXL_AFFINITY",
    says="a vCPU that is bound to CPUs is one of the domain, and the host has one of them",
    cite=Cite("libxl__build_pre"),
)
def affinity(restore: Restore) -> str | None:
    """Refuses affinities of vCPUs that there are not; leaves CPUs beyond the first to the host."""
    vcpus = restore.config.integer("b_info", "max_vcpus") or 1
    for name in (_HARD, "vcpu_soft_affinity"):
        for vcpu, _ in _affinities(restore, name):
            if vcpu >= vcpus:
                return f"{name} is of vCPU {vcpu}, the domain has {vcpus}"
    bound = dict(_affinities(restore, _HARD))
    for vcpu, cpus in bound.items():
        if not cpus:
            return f"vCPU {vcpu} is bound to no CPU"
    if not bound and restore.config.get("b_info", "cpumap"):
        raise Undecided("whether xl ends well, which frees what it makes of cpumap twice")
    for vcpu, cpus in bound.items():
        if 0 not in cpus:
            raise Undecided(f"whether the host has one of the CPUs that vCPU {vcpu} is bound to")
    return None


@config_rule(
    id="LIBXL_SCHEDULER",
    stage=Stage.COMPLETION,
    says="settings are of the scheduler that the host has, and within its bounds",
    cite=Cite("libxl_domain_sched_params_set"),
)
def scheduler(restore: Restore) -> str | None:
    """Leaves another scheduler than the release's own to the host, and refuses wrong settings."""
    chosen = restore.config.choice("b_info", "sched_params", "sched")
    default = default_scheduler(restore.target.version)
    if takes_any_scheduler(restore.target.version) or chosen in (None, "unknown"):
        kind: object = default
    else:
        kind = chosen
    if kind == "sedf":
        return "the scheduler sedf is no more"
    if kind in _WITHOUT_SETTINGS:
        return None
    wrong = _out_of_bounds(restore, kind) if kind in WEIGHTED else None
    if wrong:
        return wrong
    if kind != default:
        raise Undecided(
            f"whether the host's scheduler is {kind}, of which the settings are: "
            f"that of Xen {restore.target.name} is {default} unless it is told otherwise"
        )
    return None


def takes_any_scheduler(at: Version) -> bool:
    """Tells whether a release's libxl restores a guest whatever its scheduler was."""
    return ANY_SCHEDULER.holds(at)


def default_scheduler(at: Version) -> str:
    """Returns the scheduler that a release has unless its command line names another."""
    return "credit2" if _CREDIT2_DEFAULT.holds(at) else "credit"


def _out_of_bounds(restore: Restore, kind: object) -> str | None:
    weight = restore.config.integer("b_info", "sched_params", "weight")
    if weight is not None and weight != _UNSET and weight not in _WEIGHTS:
        return f"the weight is {weight}, they are {_WEIGHTS.start} - {_WEIGHTS.stop - 1}"
    cap = restore.config.integer("b_info", "sched_params", "cap")
    most = 100 * (restore.config.integer("b_info", "max_vcpus") or 1)
    capped = kind == "credit" or _CREDIT2_CAPPED.holds(restore.target.version)
    if capped and cap is not None and cap != _UNSET and not 0 <= cap <= most:
        return f"the cap is {cap}, at most {most}"
    return None


_LIMITS = Cite(
    "grant_table_init",
    "8b46c4ffdc",
    "libxl: add libxl support for setting grant table resource limits",
    "4.10",
)


@config_rule(
    id="LIBXL_GRANT_FRAMES",
    layer=Layer.XEN,
    says="a domain has a frame for its grants",
    cite=_LIMITS,
    errno="EINVAL",
    since=("4.10",),
)
def grant_frames(restore: Restore) -> str | None:
    """Refuses a grant table without a frame."""
    none = restore.config.integer("b_info", "max_grant_frames") == 0
    return "max_grant_frames is 0" if none else None


@config_rule(
    id="LIBXL_GRANT_FRAMES_MOST",
    layer=Layer.XEN,
    says="a domain has no more frames for grants than the hypervisor gives one",
    cite=_LIMITS,
    errno="EINVAL",
    since=("4.10",),
    until=("4.18",),
)
def most_grant_frames(restore: Restore) -> str | None:
    """Leaves more frames than the default to the hypervisor's command line, as far as it can say.

    From b2ea81d2b9 "xen/grants: repurpose command line max options" (4.18) on the default is no
    limit.
    """
    for member, most in _MOST_FRAMES.items():
        frames = _frames(restore, member)
        if member == "max_grant_frames" and frames > _MOST_POINTERS:
            return f"{member} is {frames}"
        if frames > most:
            raise Undecided(f"whether the hypervisor gives {frames} frames ({member})")
    return None


@config_rule(
    id="LIBXL_GRANT_FRAMES_HEAP",
    layer=Layer.XEN,
    says="Xen's heap has the arrays for a domain's grant frames",
    cite=Cite(
        "grant_table_init",
        "b2ea81d2b9",
        "xen/grants: repurpose command line max options",
        "4.18",
    ),
    errno="ENOMEM",
    since=("4.18",),
)
def grant_frames_heap(restore: Restore) -> str | None:
    """Refuses frames of which an array overflows, and leaves many others to the heap."""
    for member, any_heap in _ANY_HEAP.items():
        frames = _frames(restore, member)
        array = member == "max_grant_frames" or _MAPTRACK_ARRAY.holds(restore.target.version)
        if array and frames > _MOST_POINTERS:
            return f"{member} is {frames}"
        if frames > any_heap:
            raise Undecided(f"whether the hypervisor has memory for {frames} frames ({member})")
    return None


def _frames(restore: Restore, member: str) -> int:
    """Returns the frames that a configuration asks for as Xen reads them; 0 for the default."""
    frames = restore.config.integer("b_info", member)
    if frames is None or not 0 <= frames <= _ALL_ONES:
        return 0
    signed = _SIGNED_FRAMES.holds(restore.target.version)
    return 0 if signed and frames > _ALL_ONES >> 1 else frames


@config_rule(
    id="LIBXL_EVENT_CHANNELS",
    layer=Layer.XEN,
    says="a domain has event channels for XenStore, its console and its device model",
    cite=Cite(
        "evtchn_allocate_port",
        "a77eb86f44",
        "libxl,xl: add max_event_channels option to xl configuration file",
        "4.4",
    ),
    since=("4.4",),
)
def event_channels(restore: Restore) -> str | None:
    """Refuses fewer event channels than are taken before a guest runs; 0 leaves it to libxl."""
    most = restore.config.integer("b_info", "event_channels")
    hvm = domain_type(restore) == HVM
    if not most or not (hvm or _CHANNELS_AT_CREATION.holds(restore.target.version)):
        return None
    least = _FIRST_CHANNELS
    if hvm:
        # Of each vCPU for its requests, and one for those that are buffered.
        least += (restore.config.integer("b_info", "max_vcpus") or 1) + 1
    return f"{most} event channels, {least} at least" if most < least else None


RULES: tuple[RestoreRule, ...] = (
    name,
    domid,
    vcpu_map,
    affinity,
    scheduler,
    grant_frames,
    most_grant_frames,
    grant_frames_heap,
    event_channels,
)
