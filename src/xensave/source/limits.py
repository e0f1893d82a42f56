"""Every limit on reading input, in one place; docs/explanation/security.md explains each."""

from __future__ import annotations

KIB = 1 << 10
MIB = 1 << 20

CHUNK = 64 * KIB
"""What one read of a pipe or decompressor asks for, and the most that `peek` promises."""

BLOCK = 128 * KIB
"""What is asked of a decompressor at once where much is copied: a zstd block, which stays in the
processor's cache. A mebibyte costs twice the time, most of it for fresh memory."""

SKIP_CHUNK = 1 * MIB
"""The most that is moved at once where bytes are passed over or copied."""

MAPPED_WINDOW = 64 * MIB
"""How much of a mapped file is passed before the pages behind are let go."""

PIPE_SIZE = 1 * MIB
"""The capacity asked of an input pipe, so that passing over pages takes few system calls."""

READ_LIMIT = 128 * MIB
"""The most that one `read` returns. libxc refuses longer records (REC_LENGTH_MAX, Xen 4.6 on)."""

EXPANSION_FLOOR = 256 * MIB
"""Compressed input may always grow to this much ..."""

EXPANSION_RATIO = 10_000
"""... and beyond it to this many times the compressed bytes read, unless `max_size` is given.

A stream of an idle guest's zero pages reaches about 4,000: its PFN arrays do not vanish.
"""

ZSTD_WINDOW = 128 * MIB
"""The largest zstd window, that of `zstd --long=27`; the command's own default limit."""

XZ_MEMORY = 128 * MIB
"""What an xz stream's dictionary may take; `xz -9` needs 65 MiB."""

RECORDS_FLOOR = 1 << 16
"""So many records may a stream have however short they are."""

RECORD_BYTES = 256
"""Beyond that a stream has one for so many of its bytes: a checkpoint of Remus, with half a dozen
records, has at least a page and the guest's state."""
