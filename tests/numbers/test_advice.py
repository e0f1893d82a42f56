"""Advice by the rules of the review of 2019."""

import pytest

from xensave.catalogue.registry import parse_registry, shipped_registry
from xensave.errors import UsageError
from xensave.numbers.suggest import KEEP, MOVE, TAKE, advise, page_of


def registry(owner, *ranges, used="[]"):
    text = f'owner = "{owner}"\n'
    for first, last in ranges:
        text += f"[[numbers]]\nfirst = {first}\nlast = {last}\nused = {used}\n"
    return parse_registry(text, f"{owner}.toml")


def done(advice, action):
    return [s.number for s in advice.suggestions if s.action == action]


def test_amazon_keeps_what_it_deployed_and_takes_a():
    amazon = shipped_registry("amazon")
    advice = advise("Amazon", keep=range(22, 35), count=2, registries=[amazon])
    assert done(advice, KEEP) == list(range(22, 35))
    assert done(advice, TAKE) == [0x4100, 0x4101]
    assert "upper byte 0x41 is 'A'" in advice.suggestions[-1].reason
    # The headers keep 22 - 34 already: there is nothing to ask for.
    assert not any("ask upstream" in note for note in advice.notes)


def test_a_number_that_upstream_uses_is_left():
    advice = advise("uXen", keep=[18])
    [move] = advice.suggestions
    assert (move.action, move.replaces, move.number) == (MOVE, 18, 0x5500)
    assert "18 is VMCE_VCPU in upstream's master" in move.reason


def test_a_number_that_is_kept_for_another_is_left():
    advice = advise("Acme", keep=[34, 35])
    assert done(advice, KEEP) == [35]
    [move] = [s for s in advice.suggestions if s.action == MOVE]
    assert move.replaces == 34
    assert "kept for Amazon" in move.reason
    [ask] = [note for note in advice.notes if note.startswith("ask upstream")]
    assert "keep just 35 for Acme" in ask
    assert "HVM_SAVE_CODE_MAX stays 20" in ask


def test_vendors_of_one_letter_do_not_meet():
    apex = registry("Apex", (0x4100, 0x4103), (0x4110, 0x4112))
    advice = advise("Acme", count=3, registries=[apex])
    assert done(advice, TAKE) == [0x4120, 0x4121, 0x4122]
    assert any("of the same letter: Amazon, Apex" in note for note in advice.notes)


def test_a_vendors_own_range_is_used_up_first():
    acme = registry("Acme", (0x4100, 0x4103), used="[0x4100]")
    advice = advise("acme", count=2, registries=[acme])
    assert done(advice, TAKE) == [0x4101, 0x4102]
    assert "own range" in advice.suggestions[0].reason
    more = advise("Acme", count=4, registries=[acme])
    assert done(more, TAKE) == [0x4110, 0x4111, 0x4112, 0x4113]


def test_gaps_are_taken_where_no_block_is_left_and_then_nothing():
    odd = parse_registry(
        'owner = "Apex"\n'
        + "".join(f"[[numbers]]\nfirst = {n}\n" for n in range(0x4101, 0x4200, 2)),
        "apex.toml",
    )
    assert done(advise("Acme", count=3, registries=[odd]), TAKE) == [0x4100, 0x4102, 0x4104]
    with pytest.raises(UsageError, match="129 numbers wanted, 128 free in 0x4100 - 0x41ff"):
        advise("Acme", count=129, registries=[odd])


def test_new_numbers_collide_with_nothing():
    held = [registry("Apex", (0x4100, 0x417F)), shipped_registry("amazon")]
    taken = {n for r in held for span in r.ranges for n in range(span.first, span.last + 1)}
    for count in (1, 2, 16, 64, 128):
        found = done(advise("Acme", count=count, registries=held), TAKE)
        assert len(set(found)) == count
        assert taken.isdisjoint(found)
        assert all(number >> 8 == ord("A") for number in found)


def test_the_maximum_is_not_raised_for_a_high_number():
    [note] = [n for n in advise("Acme", release_name="4.17").notes if "HVM_SAVE_CODE_MAX" in n]
    assert "16,641 entries, 665,640 bytes" in note


def test_letters():
    assert page_of("zed") == 0x5A
    assert page_of("3Com") == ord("C")
    assert page_of("Ökotech") == ord("K")
    with pytest.raises(UsageError, match="no letter from A to Z"):
        page_of("42")


def test_what_cannot_be():
    with pytest.raises(UsageError, match="a count is"):
        advise("Acme", count=-1)
    with pytest.raises(UsageError, match="a count is"):
        advise("Acme", count=257)
    with pytest.raises(UsageError, match="16 bits"):
        advise("Acme", keep=[0x10000])
    with pytest.raises(UsageError, match="no release"):
        advise("Acme", release_name="9.9")
