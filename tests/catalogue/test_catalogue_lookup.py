"""Looking things up: names of releases, records by number, layouts by length."""

import pytest

from xensave import catalogue
from xensave.errors import UsageError


def test_releases_run_from_the_oldest_to_master():
    names = catalogue.release_names()
    assert names[0] == "3.1"
    assert names[-1] == "master"
    numbers = [tuple(map(int, name.split("."))) for name in names[:-1]]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("RELEASE-4.17.7", "4.17"),
        ("4.17.7", "4.17"),
        ("xen-4.17", "4.17"),
        ("Xen 4.17", "4.17"),
        ("v4.17", "4.17"),
        ("stable-4.17", "4.17"),
        ("4.17.6-pre", "4.17"),
        ("4.1.6.1", "4.1"),
        ("3.4", "3.4"),
        ("unstable", "master"),
        ("staging", "master"),
        ("4.23-unstable", "master"),
        ("master", "master"),
    ],
)
def test_names_of_releases(name, series):
    assert catalogue.normalise(name) == series


@pytest.mark.parametrize("name", ["", "4", "2.0", "5.0", "4.99", "latest", "4.17x", "../4.17"])
def test_an_unknown_release_names_those_there_are(name):
    with pytest.raises(UsageError, match=r"3\.1, 3\.2.*master"):
        catalogue.normalise(name)


def test_point_releases():
    assert catalogue.point_release("RELEASE-4.1.6.1") == (4, 1, 6, 1)
    assert catalogue.point_release("4.17") is None
    assert catalogue.point_release("nonsense") is None


def test_a_point_release_that_differs_is_itself():
    assert catalogue.release("4.20").binding("LAPIC").size == 24
    assert catalogue.release("4.20.0").binding("LAPIC").size == 24
    later = catalogue.release("RELEASE-4.20.4")
    assert later.binding("LAPIC").size == 32
    assert (later.name, later.ref) == ("4.20", "RELEASE-4.20.4")
    assert len(later.bindings) == len(catalogue.release("4.20").bindings)


def test_bindings_by_name_and_number():
    release = catalogue.release("4.17")
    assert release.binding("CPU") is release.binding(2)
    assert release.binding(18).name == "VMCE_VCPU"
    assert release.binding(22) is None
    assert release.table_entries == 21
    assert release.entry_size == 40
    assert not release.check_pass


def test_the_check_pass_came_with_a_larger_entry():
    for name in catalogue.release_names():
        release = catalogue.release(name)
        assert release.entry_size == (48 if release.check_pass else 40)
    assert not catalogue.release("4.18").check_pass
    assert catalogue.release("4.19").check_pass


def test_names_of_numbers():
    assert catalogue.name_of(15) == "VIRIDIAN_DOMAIN"
    assert catalogue.name_of(15, "4.1") == "VIRIDIAN"
    assert catalogue.name_of(20, "4.4") is None
    assert catalogue.name_of(21) is None
    assert catalogue.names_of(15) == ("VIRIDIAN_DOMAIN", "VIRIDIAN")


def test_reservations():
    found = catalogue.reservation_of(34)
    assert (found.first, found.last, found.owner) == (22, 34, "Amazon")
    assert found.citation.commit == "6e99520bf4"
    assert catalogue.reservation_of(35) is None
    assert catalogue.reservation_of(22, "4.13") is None


@pytest.mark.parametrize(
    ("key", "length", "release", "layout"),
    [
        ("RTC", 16, None, "RTC.1"),
        ("RTC", 24, None, "RTC.2"),
        ("RTC", 16, "4.13", "RTC.1"),
        (11, 24, "4.17", "RTC.2"),
        (2, 1016, "3.4", "CPU.1"),
        (2, 1016, "4.17", "CPU.3"),
        (2, 1016, None, "CPU.1"),
        (2, 1024, "4.17", "CPU.2"),
        (2, 77, "4.17", "CPU.4"),
        (2, 77, None, "CPU.4"),
        (15, 16, "4.1", "VIRIDIAN.1"),
        (15, 32, None, "VIRIDIAN_DOMAIN.3"),
        (15, 16, None, "VIRIDIAN_DOMAIN.1"),
        (16, 832, "4.6", "CPU_XSAVE.1"),
        (16, 2696, "4.17", "CPU_XSAVE.2"),
        (16, 100, None, "CPU_XSAVE.2"),
        (20, 40, "4.17", "CPU_MSR.1"),
        (5, 32, "4.20", "LAPIC.3"),
        (17, 16, None, "VIRIDIAN_VCPU.5"),
        (17, 16, "4.9", "VIRIDIAN_VCPU.3"),
    ],
)
def test_layout_for(key, length, release, layout):
    assert catalogue.layout_for(key, length, release).id == layout


def test_no_layout_for_what_nobody_has():
    assert catalogue.layout_for(22, 8) is None
    assert catalogue.layout_for(22, 8, "4.17") is None
    assert catalogue.layout_for("UNKNOWN", 8) is None


def test_unknown_names_are_refused():
    for call in (
        lambda: catalogue.layouts_of("UNKNOWN"),
        lambda: catalogue.layout("UNKNOWN.1"),
        lambda: catalogue.layout("CPU.99"),
        lambda: catalogue.layout("../index"),
        lambda: catalogue.space("unknown"),
    ):
        with pytest.raises(UsageError):
            call()


def test_spaces_by_name_and_number():
    params = catalogue.space("hvm-param")
    assert params.name_of(28) == "MONITOR_RING_PFN"
    assert params.number_of("ACCESS_RING_PFN") == 28
    assert params.name_of(3) is None
    assert catalogue.space("libxc-record").name_of(17) == "X86_CPUID_POLICY"
    assert catalogue.space("hypercall").number_of("hvm_op") == 34
    assert catalogue.space("memory-op").name_of(28) == "acquire_resource"
    assert catalogue.space("mapspace").number_of("dev_mmio") == 5
    assert catalogue.space("libxl-record").number_of("EMULATOR_CONTEXT") == 3
