"""Archives of samples, taken out as every Python that is supported can."""

import tarfile
from pathlib import Path

# From 3.11.4 on; before, and where it is the default, there is no other way.
_PLAIN = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def take_out(archive: tarfile.TarFile, folder: Path) -> None:
    archive.extractall(folder, **_PLAIN)
