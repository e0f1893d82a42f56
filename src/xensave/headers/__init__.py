"""C headers to layouts and numbers: compiled, read as text, surveyed over every release."""
