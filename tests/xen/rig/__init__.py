"""A real Xen 4.17 to ask: made of Debian's packages, booted under QEMU's software emulation.

`setup.prepare` unpacks what is needed below one folder (nothing is installed, root is not
needed) and `boot.ask` boots it once, has dom0 restore every image handed in, and returns what
`xl`, the hypervisor and the guests said.
"""


class CannotAskError(Exception):
    """This machine cannot run the rig; the text says what it lacks."""
