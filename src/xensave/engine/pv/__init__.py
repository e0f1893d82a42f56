"""PV guests: what libxc and Xen require of a vCPU's four records and of the memory they name.

libxc keeps the records until the stream has ended, turns the frames that they name into those of
the new domain, and hands each to its domctl. What hangs on the contents of page tables and
descriptor tables is Xen's alone to say; it is taken for granted.
"""

from xensave.engine.pv.judge import PvAnswer, judge_pv
from xensave.engine.pv.memory import ListedMemory, PvMemory
from xensave.engine.pv.rule import PvGuest

__all__ = ["ListedMemory", "PvAnswer", "PvGuest", "PvMemory", "judge_pv"]
