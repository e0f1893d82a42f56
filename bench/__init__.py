"""`make bench`: what xensave costs beside the tools that an operator knows, in one run."""
