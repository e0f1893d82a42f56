"""The record layouts and numbers of every Xen release, as data with a schema."""
