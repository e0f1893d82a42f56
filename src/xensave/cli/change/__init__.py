"""Commands that write another image of a saved guest."""
