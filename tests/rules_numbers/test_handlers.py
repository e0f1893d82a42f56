"""What the rules take of a handler's C: a record has to pass its check and its load."""

import pytest

from xensave.headers.text.registrations import registrations
from xensave.rules.numbers.model import Handlers

SOURCE = """
static int a_check(const struct domain *d, hvm_domain_context_t *h)
{
    if ( {check} != 0 )
        return -ENODATA;
    return 0;
}

static int a_load(struct domain *d, hvm_domain_context_t *h)
{
    if ( hvm_load_entry_zeroextend(A, h, &a) != 0 )
        return -EINVAL;
    return 0;
}

HVM_REGISTER_SAVE_RESTORE(A, a_save, a_check, a_load, 1, HVMSR_PER_VCPU);
"""


@pytest.mark.parametrize(
    ("check", "mode"),
    [
        ("hvm_load_entry_zeroextend(A, h, &a)", "zeroextend"),
        ("hvm_load_entry(A, h, &a)", "exact"),
        ("hvm_get_entry(A, h)", "exact"),
        ("something(d)", "zeroextend"),
    ],
)
def test_the_stricter_of_check_and_load_counts(check, mode):
    found = registrations("a.c", SOURCE.replace("{check}", check))
    assert Handlers(found).loads == {"A": mode}
