"""A patch or a range in a tree: its two sides."""
