"""`python -m tests.cli.unzstd FILE`: what zstd -dc does, where there is no zstd."""

import sys

import zstandard

with open(sys.argv[1], "rb") as file:
    zstandard.ZstdDecompressor().copy_stream(file, sys.stdout.buffer)
