"""Headers and records of the streams around the context."""
