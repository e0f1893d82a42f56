"""What Xen says to a policy that it does not take."""

from typing import NamedTuple

from xensave.catalogue.errnos import Errno
from xensave.catalogue.model import Cite


class PolicyRefusal(NamedTuple):
    """A refusal of XEN_DOMCTL_set_cpu_policy: its errno, its rule, and the entry at fault.

    `leaf`, `subleaf` and `msr` are what Xen reports as err_leaf, err_subleaf and err_msr, None
    where it reports none. A leaf without subleaves has subleaf 0xffffffff, as in the record.
    """

    errno: Errno
    rule: str
    reason: str
    cite: Cite
    leaf: int | None = None
    subleaf: int | None = None
    msr: int | None = None
