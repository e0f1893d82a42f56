"""Records one by one: as lines, as JSON, as xen-hvmctx prints them."""
