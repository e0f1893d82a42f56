"""Releases beside each other: a matrix, what changed, point releases, a typical guest."""
