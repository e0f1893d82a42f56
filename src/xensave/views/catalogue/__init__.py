"""What the catalogue says: number spaces, records and their history, releases."""
