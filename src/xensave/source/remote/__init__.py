"""Objects of stores: their addresses, each kind of store, and the source that reads by ranges."""
