"""Patches: mails, diffs, trailers, versions."""
