"""What a guest may rely on that an older release does not offer."""

import pytest

from xensave.catalogue.dates import series_numbers
from xensave.image import open_image
from xensave.toolstack.libxc.latched import OFFERS, latched
from xensave.toolstack.restore import judge


@pytest.fixture(scope="module")
def facts():
    with open_image("examples/hvm1.img.zst") as image:
        return image.facts


def test_upcalls_of_4_17_are_not_there_in_4_14(facts):
    """A Linux guest of 4.17 that uses them crashed after its restore on a real 4.14."""
    said = list(latched(facts, "4.14.6"))
    assert any("vector of each vCPU" in text and "from 4.17.0 on" in text for text in said)
    assert list(latched(facts, "4.17.0")) == []
    assert list(latched(facts, "4.21")) == []


def test_a_pv_guest_has_no_leaves_of_xens(facts):
    said = list(latched(facts._replace(info=None, domain=facts.domain._replace(type=1)), "4.14.6"))
    assert said == []


def test_check_says_it(facts):
    verdict = judge(facts._replace(params=()), "4.16.7")
    assert verdict.accepted
    assert any("may rely on" in text for text in verdict.warnings)


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.id)
def test_a_release_offers_what_it_brought(offer):
    first = min(series_numbers(date) for date in offer.since)
    assert offer.holds(first)
    assert not offer.holds((first[0], first[1] - 1, 9))
    assert offer.cite.release == ".".join(map(str, first[:2]))


def test_a_pv_guest_is_told_how_wide_machine_addresses_are(facts):
    pv = facts._replace(release="4.10", domain=facts.domain._replace(type=1))
    assert any("width of machine addresses" in text for text in latched(pv, "4.9.4"))
    assert not any("width of machine addresses" in text for text in latched(pv, "4.10.0"))
