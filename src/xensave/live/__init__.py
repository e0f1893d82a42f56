"""A running guest as an input: what Xen says of it in dom0, in the form of a saved image.

`domain:NAME` and `domain:ID` are read through libxencall, whose interface is stable, by hypercalls
that are put together here: the HVM context, the CPU policy, HVM params and the TSC's mode become a
libxc stream without pages. The guest is neither paused nor changed. `xensave.live.opening` opens
it, `xensave.live.memory` with its memory.
"""

PREFIX = "domain:"


def is_domain(what: object) -> bool:
    """Tells whether an input is a running guest.

    >>> is_domain("domain:guest1"), is_domain("./domain:guest1")
    (True, False)
    """
    return isinstance(what, str) and what.startswith(PREFIX)
