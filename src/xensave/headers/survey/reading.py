"""Read what one revision of Xen says: its headers, its handlers, its stream versions."""

from __future__ import annotations

import re
from typing import NamedTuple

from xensave.errors import Malformed
from xensave.headers.model import HeaderSpace
from xensave.headers.save import read_tree
from xensave.headers.text.ctext import without_comments
from xensave.headers.text.registrations import (
    REGISTER,
    REGISTER_CALL,
    TABLE,
    HandlerTable,
    read_handlers,
)
from xensave.headers.trees import tree as trees
from xensave.headers.trees.tree import GitRepository, GitTree

HANDLER_SOURCES = ("xen/arch/x86/*.c", "xen/common/*.c")
STREAM_SOURCES = ("tools/libxc/xc_sr_*", "tools/libs/*sr_*")


class ReleaseReading(NamedTuple):
    """What one revision says.

    `streams` is the libxc stream version written, and those read: (0, ()) for the legacy stream.
    """

    ref: str
    commit: str
    space: HeaderSpace
    table: HandlerTable
    streams: tuple[int, tuple[int, ...]]


def read_release(repository: GitRepository, ref: str) -> ReleaseReading:
    """Returns everything the catalogue keeps of one revision."""
    tree = GitTree(repository, ref)
    pattern = f"{TABLE}|{REGISTER}|{REGISTER_CALL}"
    return ReleaseReading(
        ref=ref,
        commit=tree.commit,
        space=read_tree(tree),
        table=read_handlers(_matching(tree, pattern, HANDLER_SOURCES)),
        streams=_stream_versions(tree),
    )


def version_of(repository: GitRepository, ref: str) -> str:
    """Returns the version that a revision's build reports ("4.23").

    Raises Malformed where xen/Makefile states none.
    """
    version = trees.version_of(GitTree(repository, ref))
    if not version:
        raise Malformed(f"{ref}: no version in xen/Makefile")
    return version


def _matching(tree: GitTree, pattern: str, paths: tuple[str, ...]) -> dict[str, str]:
    listing = tree.repository.git(
        "grep", "-l", "-z", "-E", pattern, tree.commit, "--", *paths, missing_ok=True
    )
    names = [name.split(":", 1)[1] for name in listing.split("\0") if name]
    return {name: tree.read(name) or "" for name in names}


def _stream_versions(tree: GitTree) -> tuple[int, tuple[int, ...]]:
    sources = _matching(tree, r"ihdr\.version|IHDR_VERSION|IHDR_ID", STREAM_SOURCES)
    text = "\n".join(without_comments(source) for source in sources.values())
    if not text:
        return 0, ()
    macro = re.search(r"#define\s+IHDR_VERSION\s+(0x[0-9a-fA-F]+|\d+)", text)
    written = re.search(r"\.version\s*=\s*htonl\((\w+)\)", text)
    span = re.search(r"ihdr\.version\s*<\s*(\d+)\s*\|\|\s*ihdr\.version\s*>\s*(\d+)", text)
    version = re.search(r"ihdr\.version\s*!=\s*(\w+)", text)
    names = {"IHDR_VERSION": macro[1]} if macro else {}
    if written is None or (span is None and version is None):
        raise Malformed(f"{tree.label}: no stream version in the toolstack's sources")
    writes = int(names.get(written[1], written[1]), 0)
    if span:
        return writes, tuple(range(int(span[1]), int(span[2]) + 1))
    reads = version[1] if version else ""
    return writes, (int(names.get(reads, reads), 0),)
