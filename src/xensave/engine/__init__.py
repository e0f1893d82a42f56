"""The save, check and load loops of a chosen release: verdicts."""
