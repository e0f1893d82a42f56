"""What a saved guest needs of its CPU policy: found by trying, so held against the loader."""

import pytest

from xensave.catalogue.dates import version
from xensave.engine import Domain, Hypervisor
from xensave.policy.needs import missed, names_of, needs, without
from xensave.policy.steps.default import default_policy

RELEASE = "4.17.7"
AT = version(RELEASE)


@pytest.fixture(scope="module")
def context():
    with open("examples/pvh1.ctx", "rb") as file:
        return file.read()


@pytest.fixture(scope="module")
def refuses(context):
    def ask(policy):
        verdict = Hypervisor(RELEASE, Domain("pvh"), policy).load(context)
        return verdict.reason if verdict.accepted is False else None

    return ask


def test_the_guest_uses_what_its_registers_say(refuses):
    found = needs(default_policy(RELEASE), AT, refuses)
    assert {"pku", "smep", "fsgsbase", "xsave", "nx", "lm"} <= set(found.in_use)
    assert "cr4" in found.in_use["smep"]
    assert {"avx2", "rdrand", "bmi1"} <= set(found.offered)
    assert not set(found.in_use) & set(found.offered)


def test_each_feature_alone_decides(refuses):
    """Taken away, a feature in use is refused, and one that was only offered is not."""
    policy = default_policy(RELEASE)
    found = needs(policy, AT, refuses)
    for name in found.offered:
        place = next(p for p in _places() if p[0] == name)[1]
        assert refuses(without(policy, place, AT)) is None, name
    assert refuses(policy) is None


def test_features_that_went_are_named_as_culprits(refuses):
    policy = default_policy(RELEASE)
    assert set(missed(policy, ("smep", "avx2", "no_such"), AT, refuses)) == {"smep"}


def test_names_are_those_of_the_release():
    assert "no_lmsl" in names_of(default_policy(RELEASE), AT)


def _places():
    from xensave.catalogue.features import features_of

    return [(name.lower(), place) for name, place in features_of(AT).places.items()]
