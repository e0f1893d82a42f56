"""Commands on many images."""
