"""A patch without a tree: which release it fits, and what it makes of it."""
