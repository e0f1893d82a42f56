"""Vendors' registries: what they say, and what is refused with file and key."""

from pathlib import Path

import pytest

from xensave.catalogue import release
from xensave.catalogue.registry import (
    parse_registry,
    read_registry,
    shipped_names,
    shipped_registry,
)
from xensave.errors import Malformed, SourceError, UsageError

EXAMPLES = Path(__file__).parents[2] / "examples" / "registries"
RANGE = 'owner = "Acme"\n[[numbers]]\n'


def test_amazon_ships_and_agrees_with_the_headers():
    assert {"amazon", "citrix"} <= set(shipped_names())
    amazon = shipped_registry("Amazon")
    reserved = release("master").reservations
    assert [(r.first, r.last, r.owner) for r in reserved] == [
        (held.first, held.last, amazon.owner) for held in amazon.ranges
    ]
    assert [used.number for used in amazon.used()] == list(range(22, 35))


def test_every_key_is_kept():
    text = """
        owner = "Acme"
        contact = "xen@acme.example"
        citation = "acme.example/records"
        [[numbers]]
        first = 0x4100
        last = 0x410f
        since = "2021"
        citation = "acme 12ab"
        used = [
            0x4101,
            { number = 0x4102, name = "METER", size = 16, kind = "vcpu", since = "2022" },
        ]
    """
    acme = parse_registry(text, "acme.toml")
    assert (acme.owner, acme.contact, acme.citation) == (
        "Acme",
        "xen@acme.example",
        "acme.example/records",
    )
    [held] = acme.ranges
    assert (held.first, held.last, held.since) == (0x4100, 0x410F, "2021")
    first, second = held.used
    assert (first.number, first.name, first.since, first.citation) == (
        0x4101,
        None,
        "2021",
        "acme 12ab",
    )
    assert second == (0x4102, "METER", 16, "vcpu", "2022", "acme 12ab")


def test_the_examples_state_what_their_trees_bind():
    assert [u.number for u in read_registry(EXAMPLES / "uxen.toml").used()] == [18]
    assert [u.number for u in read_registry(EXAMPLES / "viommu.toml").used()] == [21]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owner = ", r"f\.toml: Invalid value"),
        ("", r"f\.toml: owner: must be a text"),
        ('owner = " "', r"f\.toml: owner: must be a text"),
        ('owner = "A"', r"f\.toml: numbers: must be an array"),
        ('owner = "A"\nnumbers = 22', r"f\.toml: numbers: must be an array"),
        ('owner = "A"\nnumbers = [22]', r"numbers\[0\]: must be a table"),
        ('owner = "A"\nname = "B"\n[[numbers]]\nfirst = 1', r"f\.toml: name: unknown key"),
        (f"{RANGE}last = 3", r"numbers\[0\]\.first: must be a number from 0 to 65535"),
        (f"{RANGE}first = true", r"numbers\[0\]\.first: must be a number"),
        (f"{RANGE}first = 3\nlast = 2", r"numbers\[0\]\.last: 2 is below first, 3"),
        (f"{RANGE}first = 3\nlast = 65536", r"numbers\[0\]\.last: must be a number"),
        (f"{RANGE}first = 3\nused = 'some'", r'numbers\[0\]\.used: must be "all"'),
        (f"{RANGE}first = 3\nused = [4]", r"used\[0\]\.number: 4 is outside the range 3$"),
        (
            f"{RANGE}first = 3\nused = [{{number=3, size='x'}}]",
            r"used\[0\]\.size: must be a number",
        ),
        (f"{RANGE}first = 3\nused = [{{number=3, kind='cpu'}}]", r"used\[0\]\.kind: must be"),
        (f"{RANGE}first = 3\nused = [3, 3]", "number 3 is used twice"),
        (
            f"{RANGE}first = 3\nlast = 4\nused = [{{number=3,name='X'}}, {{number=4,name='X'}}]",
            "X is both 3 and 4",
        ),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_what_may_not_be_said_is_named_with_its_key(text, message):
    with pytest.raises(Malformed, match=message) as caught:
        parse_registry(text, "f.toml")
    assert "\n" not in str(caught.value)


def test_each_overlap_is_named():
    ranges = [(10, 20), (40, 44), (15, 25), (44, 44), (100, 100)]
    text = 'owner = "A"\n' + "".join(f"[[numbers]]\nfirst={a}\nlast={b}\n" for a, b in ranges)
    with pytest.raises(Malformed) as caught:
        parse_registry(text, "f.toml")
    assert str(caught.value) == "f.toml: 10 - 20 overlaps 15 - 25; 40 - 44 overlaps 44"


def test_a_small_file_cannot_mean_much_work():
    everything = '[[numbers]]\nfirst=0\nlast=65535\nused="all"\n'
    with pytest.raises(Malformed, match=r"and more$"):
        parse_registry('owner = "A"\n' + everything * 20_000, "f.toml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SourceError, match=r"none\.toml: No such file"):
        read_registry(tmp_path / "none.toml")
    with pytest.raises(SourceError, match="Is a directory"):
        read_registry(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'owner = "Soci\xe9t\xe9"')
    with pytest.raises(Malformed, match="not UTF-8"):
        read_registry(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(Malformed, match="larger than a registry"):
        read_registry(tmp_path / "large.toml")
    with pytest.raises(UsageError, match=r"there are .*amazon"):
        shipped_registry("../amazon")
