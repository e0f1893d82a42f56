"""Where headers lie: a directory, a revision, an index, a patched view."""
