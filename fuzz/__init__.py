"""Hostile input against every way into xensave: coverage-guided, and by mass mutation."""
