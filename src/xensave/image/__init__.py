"""A saved guest: what an image holds, without its pages.

>>> with open_image("examples/hvm1.img.zst") as image:
...     image.type, image.xen, image.vcpus, hex(image.context["CPU", 0].integer("rip"))
('hvm', '4.17', 1, '0xb7b9')
"""

from xensave.image.facts.guest import GuestFacts
from xensave.image.image import Image, open_image
from xensave.image.tally import Count

__all__ = ["Count", "GuestFacts", "Image", "open_image"]
