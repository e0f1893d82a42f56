"""What differs between two saved guests, or between two moments of one.

>>> from xensave.image import open_image
>>> with open_image("examples/hvm1.ctx") as a, open_image("examples/pvh1.ctx") as b:
...     comparison = compare(a, b, Selection(ignore=("memory",)))
>>> [change.record for change in comparison.changes if not change.path][:3]
['PIC[0]', 'PIC[1]', 'IOAPIC[0]']
"""

from xensave.diff.change import FieldDifference
from xensave.diff.compare import Comparison, compare
from xensave.diff.selection import Selection

__all__ = ["Comparison", "FieldDifference", "Selection", "compare"]
