"""A saved guest: its summary, its memory, its policy, and what differs between two."""
