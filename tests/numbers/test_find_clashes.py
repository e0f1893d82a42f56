"""Clashes between releases, trees, binaries and registries."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.numbers.number_trees import tree
from xensave.catalogue import release_names
from xensave.catalogue.owned import OwnedRange, Ranges
from xensave.catalogue.registry import parse_registry
from xensave.errors import Malformed, SourceError, UsageError
from xensave.numbers.clash import find_clashes
from xensave.numbers.sources import claims_of, registry_claims

EXAMPLES = Path(__file__).parents[2] / "examples" / "registries"


def clashes(*sources):
    return find_clashes([claims_of(str(source)) for source in sources])


def brief(every):
    return [(clash.rule, clash.severity, clash.number) for clash in every]


@pytest.mark.parametrize("name", release_names())
def test_a_release_does_not_clash_with_itself(name):
    assert clashes(name, name) == []


def test_growth_between_releases_is_said_as_growth():
    for pair in (("4.13", "4.17"), ("4.17", "4.13")):
        [found] = clashes(*pair)
        assert (found.rule, found.severity, found.number) == ("LAYOUT_GROWN", "warning", 11)
        assert found.message == (
            "RTC is longer in Xen 4.17, 16 to 24 bytes: rtc_offset appended at 16, 8 bytes"
        )


def test_a_point_release_is_called_by_its_number():
    [found] = clashes("4.20", "RELEASE-4.20.4")
    assert (found.rule, found.sources) == ("LAYOUT_GROWN", ("Xen 4.20", "Xen 4.20.4"))


def test_a_rename_upstream_is_a_note():
    assert brief(clashes("4.1", "4.2"))[0] == ("RECORD_RENAMED", "note", 15)


def test_a_layout_that_shifts_is_an_error():
    found = {clash.number: clash for clash in clashes("3.4", "4.0")}
    assert (found[2].rule, found[2].severity) == ("LAYOUT_DIFFERS", "error")
    assert "msr_tsc_aux added at 1000, 8 bytes; tsc moved from 1000 to 1008" in found[2].message
    assert found[2].message.endswith("; and 7 more")


def test_uxen_took_upstreams_next_number(tmp_path):
    uxen = tree(tmp_path / "uxen", [("VIRIDIAN_VCPU", 17, 2), ("ZP", 18, 4)])
    found = [clash for clash in clashes("4.17", uxen) if clash.number == 18]
    assert brief(found) == [("NUMBER_TAKEN_TWICE", "error", 18)]
    assert "VMCE_VCPU of Xen and ZP of" in found[0].message
    assert "save.h:" in found[0].claims[1]
    assert brief(clashes("4.17", EXAMPLES / "uxen.toml")) == [("NUMBER_TAKEN_TWICE", "error", 18)]


def test_the_viommu_series_took_a_number_that_upstream_gives_out(tmp_path):
    viommu = tree(tmp_path / "viommu", [("CPU_MSR", 20, 1), ("VVTD", 21, 29)])
    found = [clash for clash in clashes("4.10", viommu) if clash.number == 21]
    assert brief(found) == [("NUMBER_NOT_GRANTED", "error", 21)]
    assert "VVTD" in found[0].message
    assert "largest in Xen 4.10 is 20" in found[0].message
    registered = clashes(EXAMPLES / "viommu.toml", "master")
    assert brief(registered) == [("NUMBER_NOT_GRANTED", "error", 21)]


def test_two_downstreams_on_one_number(tmp_path):
    one = tree(tmp_path / "one", [("ZP", 21, 4)])
    assert brief(clashes(one, EXAMPLES / "viommu.toml")) == [("NUMBER_TAKEN_TWICE", "error", 21)]


def test_a_name_at_two_numbers(tmp_path):
    moved = tree(tmp_path / "moved", [("VVTD", 0x5600, 29)])
    assert brief(clashes(moved, EXAMPLES / "viommu.toml")) == [
        ("NAME_AT_TWO_NUMBERS", "error", 0x5600)
    ]


def test_amazons_numbers(tmp_path):
    assert clashes("4.17", "amazon") == []
    assert clashes("4.3", "amazon") == []
    squatter = tree(tmp_path / "squatter", [("METER", 22, 2)])
    assert brief(clashes("4.17", squatter)) == [("NUMBER_RESERVED", "error", 22)]
    assert brief(clashes("amazon", squatter)) == [("NUMBER_TAKEN_TWICE", "error", 22)]
    # A tree that keeps the range for Amazon itself may be Amazon's.
    comment = "/* Range 22 - 34 (inclusive) reserved for Amazon */"
    own = tree(tmp_path / "own", [("METER", 22, 2)], comment=comment)
    assert clashes("4.17", own) == []


def test_reservations_of_two_owners_overlap():
    acme = parse_registry('owner="Acme"\n[[numbers]]\nfirst=30\nlast=40', "acme.toml")
    found = find_clashes([claims_of("4.17"), registry_claims(acme)])
    assert brief(found) == [("RANGES_OVERLAP", "error", 30)]


def test_sizes_are_compared_where_there_is_no_layout(tmp_path):
    vvtd = tree(tmp_path / "vvtd", [("VVTD", 21, 28)])
    found = clashes(vvtd, EXAMPLES / "viommu.toml")
    assert brief(found) == [("SIZE_DIFFERS", "error", 21)]
    assert found[0].message == "VVTD is 224 bytes and 232 bytes"


def test_kinds_are_compared():
    both = [
        parse_registry(
            f'owner="{kind}"\n[[numbers]]\nfirst=300\nused=[{{number=300,name="X",kind="{kind}"}}]',
            kind,
        )
        for kind in ("vcpu", "domain")
    ]
    found = find_clashes([registry_claims(registry) for registry in both])
    assert ("KIND_DIFFERS", "error", 300) in brief(found)


def test_a_revision_of_a_repository_is_a_source(tmp_path):
    tree(tmp_path, [("ZP", 18, 4)])
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a"], check=True)
    assert brief(clashes("4.17", f"{tmp_path}@HEAD")) == [("NUMBER_TAKEN_TWICE", "error", 18)]
    with pytest.raises(UsageError, match="no such revision"):
        claims_of(f"{tmp_path}@none")


def test_many_claims_are_compared_without_pairing_all():
    both = [
        parse_registry(f'owner="{owner}"\n[[numbers]]\nfirst=0\nlast=65535\nused="all"', owner)
        for owner in ("Acme", "Apex")
    ]
    found = find_clashes([registry_claims(registry) for registry in both])
    assert len(found) == 65536 + 1


def test_ranges_that_touch():
    held = Ranges([OwnedRange(1, 90, "a"), OwnedRange(2, 3, "b"), OwnedRange(95, 99, "c")])
    assert [found.owner for found in held.touching(50, 95)] == ["a", "c"]
    assert [found.owner for found in held.touching(91, 94)] == []
    assert [found.owner for found in held.touching(3, 3)] == ["a", "b"]


def test_what_is_no_source(tmp_path):
    with pytest.raises(UsageError, match=r"no release '9\.9'; there are"):
        claims_of("9.9")
    with pytest.raises(SourceError):
        claims_of(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match=r"no hvm/save\.h"):
        claims_of(str(tmp_path))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Malformed, match="not an ELF"):
        claims_of(str(tmp_path / "text"))
    broken = tree(tmp_path / "broken", [("ZP", 18, 4)])
    header = broken / "xen/include/public/hvm/save.h"
    header.write_text(header.read_text() + "struct x { nothing y; };\n")
    with pytest.raises(Malformed, match=r"save\.h.*nothing"):
        claims_of(str(broken))


def test_a_binary_is_a_source():
    path = os.environ.get("XENSAVE_XEN_SYMS")
    if not path:
        pytest.skip("NOT TESTED against a real binary: set XENSAVE_XEN_SYMS to a 4.17 xen-syms")
    assert clashes("4.17", path) == []
    assert ("SIZE_DIFFERS", "error", 11) in brief(clashes("4.13", path))


@pytest.mark.parametrize(
    ("variable", "rule", "number", "name"),
    [
        ("XENSAVE_UXEN_GIT", "NUMBER_TAKEN_TWICE", 18, "ZP"),
        ("XENSAVE_VIOMMU_GIT", "NUMBER_NOT_GRANTED", 21, "VVTD"),
    ],
)
def test_the_real_trees(variable, rule, number, name):
    if variable not in os.environ:
        pytest.skip(f"NOT TESTED against the real tree: set {variable} to its git directory")
    found = clashes("4.17", f"{os.environ[variable]}@HEAD")
    assert (rule, "error", number) in brief(found)
    assert any(name in clash.message for clash in found if clash.number == number)
