"""Commands that look at a saved guest."""
