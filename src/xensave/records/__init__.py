"""Bytes and a layout to typed values, and the exact inverse; unknown bytes are kept."""
