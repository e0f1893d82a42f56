"""Legacy libxc streams (Xen 3.4 - 4.5): read as they lie, and as the records of today's libxc.

Source: tools/libxc/xg_save_restore.h, xc_domain_save.c, xc_domain_restore.c and
xc_compression.c of Xen 4.5; tools/python/xen/migration/legacy.py.
"""

from xensave.container.streams.legacy.format import LEGACY_FORMAT, Legacy
from xensave.container.streams.legacy.header import LegacyHeader, width_of

__all__ = ["LEGACY_FORMAT", "Legacy", "LegacyHeader", "width_of"]
