"""A running guest as an input: what Xen says of it in dom0, in the form of a saved image.

`domain:NAME` and `domain:ID` are read through libxencall, whose interface is stable, by hypercalls
that are put together here: the HVM context, the CPU policy, HVM params and the TSC's mode become a
libxc stream without pages. The guest is neither paused nor changed.
"""

from xensave.live.opening import PREFIX, is_domain, open_domain

__all__ = ["PREFIX", "is_domain", "open_domain"]
