"""Objects of a store: their addresses, and the source that reads them by ranges."""
