"""The index of an image's pages: for each frame, where its last contents lie and of what type.

How a stream fills memory is what libxc's restore does with it (process_page_data(), restore() and
handle_checkpoint() in tools/libs/guest/xg_sr_restore.c):

- The last contents of a frame win. A later entry without contents (BROKEN, XALLOC, XTAB) leaves
  the contents that came before.
- What comes after a VERIFY record is compared with memory, and not taken.
- In a checkpointed stream (Remus, COLO) the records after a checkpoint are buffered until the
  next checkpoint is complete: what follows the last complete one does not count.
"""

from xensave.memory.index.build import build_index
from xensave.memory.index.empty import EmptyRuns
from xensave.memory.index.page_index import PageIndex, Pass

__all__ = ["EmptyRuns", "PageIndex", "Pass", "build_index"]
