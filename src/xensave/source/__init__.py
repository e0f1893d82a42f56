"""Bytes: files, pipes and compressed inputs; exact reads, short reads raise Truncated."""
