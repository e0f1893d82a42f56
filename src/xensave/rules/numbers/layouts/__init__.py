"""Rules on the bytes of a record: its struct as it stands, and one version against another."""
