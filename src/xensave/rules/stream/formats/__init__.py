"""The rules on each container format, in the module of its name; on their parts beside them."""
