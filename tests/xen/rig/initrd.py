"""The initial RAM disk that is the whole of dom0: kernel modules, userland, init."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
# Documentation, translations and the firmware of guests that no case needs.
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
    "usr/lib/xen-4.17/boot",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/udev",
)


def module_order(tree: Path, names: Iterable[str]) -> list[Path]:
    """Return the modules `names` below `tree` and what they depend on, in the order to load.

    A kernel module names the modules that it needs in its `.modinfo`, as `depends=a,b`.
    """
    files = {path.stem.replace("-", "_"): path for path in sorted(tree.rglob("*.ko"))}
    order: list[Path] = []

    def load(name: str) -> None:
        path = files[name.replace("-", "_")]
        if path in order:
            return
        found = DEPENDS.search(path.read_bytes())
        for needed in found[1].decode().split(",") if found and found[1] else []:
            load(needed)
        order.append(path)

    for name in names:
        load(name)
    return order


def write_initrd(out: BinaryIO, tree: Path, extra: Iterable[tuple[str, int, bytes]]) -> None:
    """Write `tree`, then the `extra` files (name, mode, bytes), as a newc archive, unpacked size.

    It is not compressed: dom0 unpacks it under emulation, where copying costs least.
    """
    number = 0
    for number, (name, mode, data) in enumerate(_members(tree), 1):
        _write_member(out, number, name, mode, data)
    for name, mode, data in extra:
        number += 1
        _write_member(out, number, name, mode, data)
    _write_member(out, 0, "TRAILER!!!", 0, b"")


def _members(tree: Path) -> Iterator[tuple[str, int, bytes]]:
    for folder, below, files in os.walk(tree):
        at = Path(folder)
        inside = at.relative_to(tree)
        below[:] = sorted(x for x in below if (inside / x).as_posix() not in LEFT_OUT)
        for name in sorted(below + files):
            path = at / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                data = os.fsencode(path.readlink())
            else:
                data = path.read_bytes() if stat.S_ISREG(mode) else b""
            yield (inside / name).as_posix(), mode, data


def _write_member(out: BinaryIO, number: int, name: str, mode: int, data: bytes) -> None:
    """Write one newc member: thirteen hexadecimal words, the name, the data, each to a word."""
    path = os.fsencode(name) + b"\0"
    words = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % word for word in words) + path
    out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))
