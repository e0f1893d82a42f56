"""The save, check and load loops over a handler table."""
