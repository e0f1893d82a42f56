"""The data files keep to their schema and agree with each other."""

import json
import re
from pathlib import Path

import pytest

from xensave import catalogue
from xensave.catalogue.files import DATA, SCHEMA
from xensave.catalogue.model import EXACT, OWN, PER_DOMAIN, PER_VCPU, ZEROEXTEND
from xensave.headers.spaces import description_of

RELEASES = catalogue.release_names()
LAYOUTS = [found for name in catalogue.record_names() for found in catalogue.layouts_of(name)]
FILES = sorted(Path(DATA).rglob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DATA)))
def test_each_file_says_schema_and_producer(path):
    value = json.loads(path.read_text())
    assert value["schema"] == SCHEMA
    assert re.fullmatch(r"Xen [0-9a-f]{40}", value["producer"]["source"])


def test_the_index_names_every_file():
    names = {str(path.relative_to(DATA)) for path in FILES}
    wanted = {"index.json", "features.json", "points.json"}
    wanted |= {f"releases/{name}.json" for name in RELEASES}
    wanted |= {f"records/{name}.json" for name in catalogue.record_names()}
    wanted |= {f"spaces/{name}.json" for name in catalogue.space_names()}
    assert names == wanted


def test_ids_are_unique_and_numbered_by_record():
    ids = [layout.id for layout in LAYOUTS]
    assert len(ids) == len(set(ids))
    for name in catalogue.record_names():
        numbers = [layout.id for layout in catalogue.layouts_of(name)]
        assert numbers == [f"{name}.{count}" for count in range(1, len(numbers) + 1)]


def test_no_two_layouts_of_a_record_are_the_same():
    shapes = [(layout.record, layout.size, layout.fields) for layout in LAYOUTS]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
@pytest.mark.parametrize("bits", [64, 32])
def test_members_lie_inside_and_apart(layout, bits):
    shape = catalogue.shape(layout, bits)
    assert shape.size % shape.align == 0
    apart(shape.fields, shape.size, union=False)


def apart(fields, size, *, union):
    taken = set()
    for field in fields:
        first = field.offset * 8 + (field.bits[0] if field.bits else 0)
        width = field.bits[1] if field.bits else field.size * 8
        assert first + width <= size * 8, field
        if not union:
            assert taken.isdisjoint(range(first, first + width)), field
            taken |= set(range(first, first + width))
        count = 1
        for dim in field.dims:
            count *= dim
        if field.fields and count:
            assert field.size % count == 0, field
            apart(field.fields, field.size // count, union=field.union)


def _bound_at_first(name):
    bindings = catalogue.release(name).bindings
    return {layout for b in bindings for layout in (b.layout, b.compat) if layout}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_each_layout_cites_the_commit_that_brought_it(layout):
    assert re.fullmatch(r"[0-9a-f]{10}", layout.introduced.commit)
    assert layout.introduced.subject
    # A backport to an older series is not what brought it.
    bound = [n for n in RELEASES if layout.id in _bound_at_first(n)]
    # A compat layout may be older than the first release that converts it.
    order = [*RELEASES]
    first = order.index(catalogue.normalise(layout.introduced.release))
    assert not bound or order.index(bound[0]) >= first
    assert bound or catalogue.normalise(layout.introduced.release) in RELEASES
    assert layout.releases or layout.compat


def variants(release):
    return [catalogue.release(ref) for variant in release.variants for ref in variant.refs]


@pytest.mark.parametrize("name", RELEASES)
def test_bindings(name):
    series = catalogue.release(name)
    for release in [series, *variants(series)]:
        codes = [binding.typecode for binding in release.bindings]
        assert codes == sorted(set(codes))
        assert max(codes) <= release.code_max
        assert release.code_max < 65536
        assert re.fullmatch(r"[0-9a-f]{40}", release.commit)
        for binding in release.bindings:
            layout = catalogue.layout(binding.layout)
            assert layout.record == binding.name
            assert layout.size == binding.size
            assert name in layout.releases
            assert binding.kind in (PER_DOMAIN, PER_VCPU)
            assert binding.load in (EXACT, ZEROEXTEND, OWN)
            assert bool(binding.handler) == (binding.name not in ("HEADER", "END"))
            assert (binding.load == OWN) == layout.flexible
            if binding.compat:
                assert catalogue.layout(binding.compat).size < binding.size


@pytest.mark.parametrize("name", RELEASES)
def test_every_reservation_is_cited(name):
    for found in catalogue.release(name).reservations:
        assert found.first <= found.last
        assert found.citation is not None


def test_a_layout_is_used_by_the_releases_that_it_names():
    users = {layout.id: set() for layout in LAYOUTS}
    for name in RELEASES:
        series = catalogue.release(name)
        for release in [series, *variants(series)]:
            for binding in release.bindings:
                users[binding.layout].add(name)
    assert {layout.id: set(layout.releases) for layout in LAYOUTS} == users


@pytest.mark.parametrize("name", catalogue.space_names())
def test_spaces(name):
    space = catalogue.space(name)
    assert space.numbers
    keys = [(number.number, number.name) for number in space.numbers]
    assert len(set(keys)) == len(keys)
    order = {release: place for place, release in enumerate(RELEASES)}
    for number in space.numbers:
        assert order[number.first] <= order[number.last]
        assert number.macro.removesuffix("_CODE").endswith(number.name)
    if space.limits:
        newest = dict(space.limits)["master"]
        bounded = description_of(name).bounded
        current = [n.number for n in space.numbers if n.last == "master" and bounded(n.number)]
        assert max(current) < newest
