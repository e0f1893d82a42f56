"""What libxl and Xen refuse of a configuration in releases of which no image is at hand.

Rules are asked one by one, of a sample's facts with another configuration. The oracle is Xen's
source: each test names the function or commit that answers so.
"""

import io

import pytest

from tests.toolstack.corpus import rebuilt, thin
from xensave.container.description import Config
from xensave.container.frames.config import parse_config
from xensave.image import open_image
from xensave.policy.steps.default import default_policy
from xensave.toolstack.libxl.creation import altp2m
from xensave.toolstack.libxl.exclusions import altp2m_views, devices_on_demand
from xensave.toolstack.libxl.resources import (
    default_scheduler,
    event_channels,
    grant_frames,
    most_grant_frames,
    scheduler,
)
from xensave.toolstack.rule import Restore, target_of
from xensave.toolstack.xl import alone

PVH = "x417-pvh1"


@pytest.mark.parametrize(("target", "kind"), [("4.11.4", "credit"), ("4.12.0", "credit2")])
def test_the_scheduler_that_a_release_has_by_default(target, kind):
    """CONFIG_SCHED_DEFAULT, ec6662445b; the sample's is credit2. 162fc8295f takes any."""
    with open_image(io.BytesIO(rebuilt(thin(PVH), []))) as image:
        restore = Restore(image.facts, target_of(target), default_policy(target))
    assert default_scheduler(restore.target.version) == kind
    assert (scheduler.objection(restore) is None) == (kind == "credit2")


def objection(rule, values, target, **facts):
    with open_image(io.BytesIO(rebuilt(thin(PVH), []))) as image:
        facts = image.facts._replace(config=Config("", values), **facts)
    at = target_of(target)
    if not rule.holds(at.version):
        return None
    return rule.objection(Restore(facts, at, default_policy(target)))


LESS = {"target_memkb": 65536}
ON_ALTP2M = {"type.hvm": {"altp2m": "True"}}
OLD = {
    # initiate_domain_create(): 3ebe9a1a82 came with 4.8, b_info.altp2m with 4.9.
    "on-demand-4.7": (ON_ALTP2M | LESS | {"max_memkb": 131072}, "4.7.6", None),
    "on-demand-4.8": (ON_ALTP2M | LESS | {"max_memkb": 131072}, "4.8.5", True),
    "mode-4.8": ({"altp2m": "mixed"} | LESS | {"max_memkb": 131072}, "4.8.5", None),
    "mode-4.9": ({"altp2m": "mixed"} | LESS | {"max_memkb": 131072}, "4.9.4", True),
    # b_info.nested_hvm came with 4.10, and took the older one's value.
    "nested-4.9": ({"altp2m": "mixed", "nested_hvm": "True"}, "4.9.4", None),
    "nested-4.10": ({"altp2m": "mixed", "nested_hvm": "True"}, "4.10.4", True),
    "nested-of-old-4.9": (
        {"altp2m": "mixed", "type.hvm": {"nested_hvm": "True"}}, "4.9.4", True
    ),
    "nested-of-old-4.10": (
        {"altp2m": "mixed", "type.hvm": {"nested_hvm": "True"}}, "4.10.4", True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_altp2m_of_older_releases(name):
    build, target, certain = OLD[name]
    answer = objection(altp2m, {"c_info": {"type": "hvm"}, "b_info": build}, target)
    assert (answer and answer.certain) == certain


@pytest.mark.parametrize(
    ("target", "size", "certain"),
    [("4.7.6", 65536, False), ("4.7.6", 32764, True), ("4.8.5", 65536, True)],
)
def test_a_maximum_that_is_not_stated(target, size, certain):
    """freemem() put the default into the configuration, until b173750d2b (4.8)."""
    values = {"c_info": {"type": "hvm"}, "b_info": {"target_memkb": size}, "pcidevs": [{"dev": 1}]}
    assert objection(devices_on_demand, values, target).certain == certain


@pytest.mark.parametrize(
    ("kind", "target", "certain"),
    [
        ("pvh", "4.11.4", None),
        ("pvh", "4.12.0", True),
        ("pv", "4.6.0", None),
        ("hvm", "4.6.0", True),
    ],
)
def test_event_channels_were_limited_when_two_were_there(kind, target, certain):
    """libxl__build_post() set the limit, until 4a83497635 (4.12); a device model asks later."""
    values = {"c_info": {"type": kind}, "b_info": {"event_channels": 1}}
    answer = objection(event_channels, values, target)
    assert (answer and answer.certain) == certain


@pytest.mark.parametrize(
    ("member", "target", "certain"),
    [
        ("max_grant_frames", "4.10.0", True),
        ("max_grant_frames", "4.11.4", True),
        ("max_grant_frames", "4.12.1", True),
        ("max_grant_frames", "4.12.2", None),
        ("max_grant_frames", "4.13.0", None),
        ("max_maptrack_frames", "4.11.4", False),
        ("max_maptrack_frames", "4.12.2", None),
    ],
)
def test_all_ones_was_a_number_of_frames_once(member, target, certain):
    """grant_table_set_limits() and grant_table_init() took an unsigned one, until 7a0e35f823."""
    values = {"c_info": {"type": "pvh"}, "b_info": {member: 0xFFFFFFFF}}
    answer = objection(most_grant_frames, values, target)
    assert (answer and answer.certain) == certain


@pytest.mark.parametrize(("target", "refused"), [("4.9.4", False), ("4.10.0", True)])
def test_a_guest_has_a_frame_for_grants_since_they_are_its_own(target, refused):
    """libxl passes max_grant_frames on since 8b46c4ffdc; before, the hypervisor has one for all."""
    values = {"c_info": {"type": "hvm"}, "b_info": {"max_grant_frames": 0}}
    assert bool(objection(grant_frames, values, target)) == refused


def test_a_guest_without_a_policy_tells_no_vendor():
    """hvm_altp2m_supported() asks the host; a stream of before 4.14 has no CPUID policy."""
    build = {"altp2m": "external", "altp2m_count": 2}
    values = {"c_info": {"type": "hvm"}, "b_info": build}
    assert objection(altp2m_views, values, "4.21.0").certain
    assert not objection(altp2m_views, values, "4.21.0", leaves=None).certain


def test_text_behind_the_json_before_4_12():
    optional = len(b"{} more\0").to_bytes(4, "little") + b"{} more\0"
    with open_image(io.BytesIO(rebuilt(thin(PVH), []))) as image:
        facts = image.facts._replace(config=parse_config(optional))
    found = {}
    for target in ("4.11.4", "4.12.0"):
        restore = Restore(facts, target_of(target), default_policy(target))
        found[target] = alone.holds(restore.target.version) and alone.objection(restore)
    # "YAJL v1 doesn't have this behavior", 544c15c827
    assert found["4.11.4"].refusal.reason.endswith(
        "yajl 2, which refuses it: 'more' follows the JSON"
    )
    assert not found["4.11.4"].certain
    assert not found["4.12.0"]
