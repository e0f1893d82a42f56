"""Patches where they are reviewed: series of a Patchwork server, and checks posted to them."""
