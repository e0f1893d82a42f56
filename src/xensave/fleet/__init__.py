"""Many images as one table: scanned, asked in SQL, planned for an upgrade."""
