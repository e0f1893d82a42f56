"""Rules with their dates: since and until which release, and by which commit."""
